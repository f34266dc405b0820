"""The process that answers long questions, one after another, until none waits: `python -m dashboards.job_worker FOLDER COMMAND ...`.

It yields to everybody else on the machine. Where it is killed, its lock goes with it, and pages say so and offer the question again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from dashboards import job_files
from dashboards.job_files import part
from pipelines.stores.release_files import served_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.job_files import Job, State

NICE: Final = 10
LONGEST_SECONDS: Final = 3600.0  # then something is wrong, and others wait
STOP_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.2
STOPPED: Final = "The process that worked it out was ended from outside, as by a restart of the machine. Ask again."
_OTHER_RELEASE: Final = "A newer release was published before it was worked out. Ask again."
_TRIES: Final = 20  # a page that looks whether somebody works holds the lock for a moment
PROGRESS: Final = re.compile(r"^.+: .+, (\d{1,3}) %$")  # as `pipelines.cli.display.progress_bar` writes it where there is no terminal
_BOX: Final = re.compile(r"[\u2500-\u257f]+( Error [\u2500-\u257f]+)?")
_USAGE: Final = re.compile(r"^(Usage:|Try ).*$", re.MULTILINE)


def main(argv: Sequence[str]) -> None:
    """Nothing waits any more, or another process answers."""
    folder, command = Path(argv[0]), list(argv[1:])
    lock = _take_work(folder)
    if lock is None:
        return
    with lock:
        os.nice(NICE)
        with job_files.table_lock(folder):
            for gone in job_files.read_all(folder):
                if gone.state == "running":  # by a process that held the lock before
                    job_files.write(folder, gone.finished("stopped", STOPPED))
        while (job := _take_next(folder)) is not None:
            state, message = _answer(folder, job, command, lock)
            with job_files.table_lock(folder):
                job_files.write(folder, job.finished(state, message))
                job_files.prune(folder)


def _take_work(folder: Path) -> IO[Any] | None:
    for _ in range(_TRIES):
        if (lock := job_files.take_work(folder)) is not None:
            return lock
        time.sleep(_LOOK_SECONDS / 4)
    return None


def _take_next(folder: Path) -> Job | None:
    with job_files.table_lock(folder):
        job = next((one for one in job_files.read_all(folder) if one.state == "waiting"), None)
        if job is not None:
            part(folder, job.key, "cancel").unlink(missing_ok=True)
            job = replace(job, state="running", started_at=job_files.moment())
            job_files.write(folder, job)
    return job


def _answer(folder: Path, job: Job, command: list[str], lock: IO[Any]) -> tuple[State, str]:
    """What came of it. Its answer is in its file, whole, or not there."""
    releases = folder.parent / "releases"
    if served_id(releases) != job.release_id:
        return "failed", _OTHER_RELEASE
    try:
        state, message = _run(folder, job, command, lock)
        if state == "done":
            return _kept(folder, job, is_still_served=served_id(releases) == job.release_id)
    except OSError as exc:
        return "failed", f"It could not be started or kept: {exc.strerror or exc}."
    else:
        return state, message
    finally:
        part(folder, job.key, "building").unlink(missing_ok=True)


def _run(folder: Path, job: Job, command: list[str], lock: IO[Any]) -> tuple[State, str]:
    with part(folder, job.key, "building").open("wb") as out, part(folder, job.key, "err").open("wb") as err:
        # the lock is the command's too: nothing else begins before it has ended, even where this process is killed
        process = subprocess.Popen(  # noqa: S603 - arguments from an allow-list, and no shell
            [*command, *job.argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=(lock.fileno(),),
            # the access log names who asked, and not who runs the pages
            env=os.environ | {"COLUMNS": "500", "NO_COLOR": "1", "LOGNAME": job.asked_by},
        )  # fmt: skip
        return _wait(folder, job, process)


def _wait(folder: Path, job: Job, process: subprocess.Popen[bytes]) -> tuple[State, str]:
    began = time.monotonic()
    while process.poll() is None:
        if part(folder, job.key, "cancel").exists():
            _stop(process)
            return "cancelled", ""
        if time.monotonic() - began > LONGEST_SECONDS:
            _stop(process)
            return "failed", f"It took longer than {LONGEST_SECONDS / 60:.0f} minutes and was stopped. Ask for less, such as one category."
        time.sleep(_LOOK_SECONDS)
    if process.returncode == 0:
        return "done", ""
    if process.returncode < 0:
        return "failed", f"It was ended by the system (signal {-process.returncode}), perhaps for want of memory. Ask again, or for less."
    return "failed", error_sentence(job_files.said_last(part(folder, job.key, "err")), process.returncode)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
        return
    process.kill()
    process.wait()


def _kept(folder: Path, job: Job, *, is_still_served: bool) -> tuple[State, str]:
    """An answer is kept that is JSON and of the release that was asked about."""
    building = part(folder, job.key, "building")
    try:
        found = json.loads(building.read_bytes())
    except ValueError:
        return "failed", "What it answered cannot be read; run the command in a terminal to see what it says."
    told = found.get("release_id") if isinstance(found, dict) else None
    if (told is None and not is_still_served) or told not in {None, job.release_id}:
        return "failed", _OTHER_RELEASE
    building.replace(part(folder, job.key, "out"))
    return "done", ""


def error_sentence(said: str, code: int) -> str:
    """What a command that failed says of it: the end of its standard error without progress, boxes and colours."""
    plain = _USAGE.sub("", _BOX.sub("\n", said))
    lines = [line.strip() for line in plain.splitlines()]
    lines = [line for line in lines if line and not PROGRESS.match(line)]
    if "Traceback (most recent call last):" in lines:
        return f"The command broke off (exit code {code}): {lines[-1]}. Please report this."
    return " ".join(lines) or f"The command ended with exit code {code} and says nothing of why."


if __name__ == "__main__":
    main(sys.argv[1:])
