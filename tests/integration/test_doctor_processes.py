"""What the doctor says of the processes of `ordercast serve`, held against a supervisor with small ones."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.cli.doctor import examine
from pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.cli.doctor import Finding

CONFIG = """
[supervisord]
logfile={run}/supervisord.log
pidfile={run}/supervisord.pid
nodaemon=true
silent=true
[unix_http_server]
file={run}/supervisor.sock
[supervisorctl]
serverurl=unix://{run}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:code]
command=sleep 600
startsecs=0
[program:web]
command={web}
startsecs={web_seconds}
startretries=0
[program:pages-next]
command=sleep 600
autostart=false
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # the socket's path has to be short
        yield Path(folder)


@pytest.fixture
def supervised(home: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A supervisor of three: one runs, one does as the test says, and one was never started."""
    run = home / "run"
    run.mkdir()
    (run / "supervisord.conf").write_text(CONFIG.format(run=run, **request.param))
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(run / "supervisord.conf")]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(run / "supervisor.sock")
            yield
        finally:
            process.terminate()


def _wait_for(file: Path) -> None:
    until = time.monotonic() + 60
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)


def _processes(home: Path) -> Finding | None:
    found = [one for one in examine(Settings(home=home, _env_file=None)) if one.subject == "Processes"]
    return found[0] if found else None


def _settled(home: Path) -> Finding:
    """The finding once no process is starting any more."""
    until = time.monotonic() + 60
    while (found := _processes(home)) is None or (found.is_fine and "web" not in found.detail):
        assert time.monotonic() < until, found
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("supervised", [{"web": "false", "web_seconds": 5}], indirect=True)
@pytest.mark.usefixtures("supervised")
def test_the_doctor_names_a_process_that_does_not_stay_up(home: Path) -> None:
    found = _settled(home)

    assert (found.is_fine, found.detail) == (False, "web FATAL.")
    assert found.remedy == f"Read {home}/logs/processes."


@pytest.mark.parametrize("supervised", [{"web": "sleep 600", "web_seconds": 0}], indirect=True)
@pytest.mark.usefixtures("supervised")
def test_the_doctor_counts_what_runs_and_minds_no_process_that_waits_for_an_upgrade(home: Path) -> None:
    found = _settled(home)

    assert (found.is_fine, found.detail) == (True, "code, web running.")


def test_a_supervisor_that_was_killed_is_found_by_what_it_left(home: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / "supervisor.sock").touch()
    (home / "run" / "supervisord.conf").write_text(CONFIG.format(run=home / "run", web="false", web_seconds=5))

    found = _processes(home)

    assert found is not None
    assert (found.is_fine, found.detail) == (False, "the supervisor of `ordercast serve` does not answer.")


def test_where_nothing_was_served_there_is_nothing_to_say_of_processes(home: Path) -> None:
    assert _processes(home) is None
