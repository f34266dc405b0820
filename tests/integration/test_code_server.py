"""Runs are forked from a process that has imported everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from pipelines.cli.running import prepare_dagster_home
from pipelines.defs.code_server import fail_orphans, orphaned_runs, warm_context
from pipelines.defs.watch_runs import COMMAND_LINE
from pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LIBRARIES = ("dbt.cli.main", "great_expectations", "pipelines.definitions")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDERCAST_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(forkserver._forkserver, "_preload_modules", ["__main__"])
        forkserver._forkserver._stop()  # type: ignore[attr-defined] # one that other tests started has imported other things
        yield warm_context()
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


def tell(queue: Any) -> None:
    """What a run finds in memory, and the process it was forked from."""
    from pipelines.steps.transform import _PARSED

    queue.put((os.getppid(), [name for name in LIBRARIES if name not in sys.modules], len(_PARSED)))


def record_run(instance: dg.DagsterInstance, name: str, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None) -> None:
    @dg.job(name=name)
    def whole() -> None: ...

    instance.create_run_for_job(whole, status=status, tags=tags)


def parent_of(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[1])


def has_ended(process_id: int, *, within: float = 30) -> bool:
    """Whether it ends in so many seconds; a process that nobody has waited for has ended too."""
    stat, until = Path(f"/proc/{process_id}/stat"), time.monotonic() + within
    while True:
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)


def told(context: Any) -> tuple[int, list[str], int]:
    queue = context.Queue()
    process = context.Process(target=tell, args=(queue,))
    process.start()
    said: tuple[int, list[str], int] = queue.get(timeout=120)
    process.join()
    return said


def test_a_run_finds_everything_imported_and_the_models_parsed(context: Any) -> None:
    parent, missing, parsed = told(context)

    assert parent != os.getpid()
    assert (missing, parsed) == ([], 1)


def test_runs_go_on_after_the_process_they_are_forked_from_was_killed(context: Any) -> None:
    first, *_ = told(context)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    second, missing, _ = told(context)

    assert second != first
    assert missing == []


def test_a_run_ends_with_the_process_it_was_forked_from(context: Any) -> None:
    process = context.Process(target=signal.pause)
    process.start()
    server = parent_of(process.pid)

    os.kill(server, signal.SIGKILL)

    assert has_ended(process.pid)


def test_a_run_ends_with_a_code_server_that_was_killed(tmp_path: Path) -> None:
    started = (
        "import signal; from pipelines.defs.code_server import warm_context; process = warm_context().Process(target=signal.pause); "
        "process.start(); print(process.pid, flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", started],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ORDERCAST_HOME": str(tmp_path)},
    ) as server:
        assert server.stdout is not None
        run = int(server.stdout.readline())
        is_at_work = not has_ended(run, within=0)

        server.kill()

    assert is_at_work
    assert has_ended(run)


def test_a_code_server_fails_the_runs_that_ended_with_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "put back when the test is over")
    prepare_dagster_home(Settings(_env_file=None, home=tmp_path))  # type: ignore[call-arg]
    with dg.DagsterInstance.get() as instance:
        record_run(instance, "started", dg.DagsterRunStatus.STARTED)
        record_run(instance, "waits", dg.DagsterRunStatus.NOT_STARTED)
        record_run(instance, "of_a_command", dg.DagsterRunStatus.STARTED, COMMAND_LINE)
        orphans = orphaned_runs(instance)
        record_run(instance, "of_this_server", dg.DagsterRunStatus.STARTED)

        fail_orphans(orphans)

        assert {run.job_name: run.status.value for run in instance.get_runs()} == {
            "started": "FAILURE", "waits": "NOT_STARTED", "of_a_command": "STARTED", "of_this_server": "STARTED",
        }  # fmt: skip


def test_a_killed_run_is_seen_to_have_ended(context: Any) -> None:
    process = context.Process(target=signal.pause)
    process.start()

    os.kill(process.pid, signal.SIGKILL)

    process.join(timeout=30)
    assert process.exitcode == -signal.SIGKILL
