"""Runs are forked from a process that has imported everything."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.defs.code_server import warm_context

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_a_killed_run_is_seen_to_have_ended(context: Any) -> None:
    process = context.Process(target=signal.pause)
    process.start()

    os.kill(process.pid, signal.SIGKILL)

    process.join(timeout=30)
    assert process.exitcode == -signal.SIGKILL
