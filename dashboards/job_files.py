"""Long questions on disk: a file each under `answers/` in the home folder, and locks that no process holds once it has ended.

Pages and the process that answers (`job_worker`) know of each other by these files alone, so either may end and begin anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from pipelines.stores.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

State = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]
FOLDER: Final = "answers"
KEPT: Final = 60  # answers that stay; the oldest go
UNFINISHED: Final = ("waiting", "running")
PARTS: Final = ("json", "out", "err", "cancel", "building")


@dataclass(frozen=True, slots=True)
class Job:
    """One question and what has become of it.

    Attributes:
        key: Stands for release, command, arguments and whatever else the answer depends on.
        same_key: Stands for the same without the release: two jobs that share it asked the same of different releases.
        command: What is asked, as in `jobs.COMMANDS`.
        argv: What the command line is called with.
        release_id: Of which release.
        as_of_date: The last complete day of that release, ISO.
        asked_by: The operator, or the local user where there are none.
        asked_at: UTC, ISO.
        state: stopped: its process was ended from outside.
        started_at: UTC, ISO; None until it runs.
        finished_at: UTC, ISO; None until it has ended.
        message: Why there is no answer, in a sentence; empty where there is one.
    """

    key: str
    same_key: str
    command: str
    argv: tuple[str, ...]
    release_id: str
    as_of_date: str
    asked_by: str
    asked_at: str
    state: State = "waiting"
    started_at: str | None = None
    finished_at: str | None = None
    message: str = ""

    @property
    def is_unfinished(self) -> bool:
        """Whether it waits or runs."""
        return self.state in UNFINISHED

    @property
    def seconds(self) -> float | None:
        """How long it ran, to now where it still runs; None before it began."""
        if self.started_at is None:
            return None
        end = datetime.now(UTC) if self.finished_at is None else datetime.fromisoformat(self.finished_at)
        return max(0.0, (end - datetime.fromisoformat(self.started_at)).total_seconds())

    def finished(self, state: State, message: str = "") -> Job:
        """The same, ended at this moment."""
        return replace(self, state=state, message=message, finished_at=moment())


def moment() -> str:
    """This moment, UTC, ISO."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def part(folder: Path, key: str, suffix: str) -> Path:
    """The file of a question: json (what it is), out (its answer), err (how far it is), cancel (somebody wants it to end)."""
    return folder / f"{key}.{suffix}"


def write(folder: Path, job: Job) -> None:
    """The question's file says this, wholly."""
    write_durably(part(folder, job.key, "json"), json.dumps(asdict(job)))


def read(folder: Path, key: str) -> Job | None:
    """What the question's file says; None where there is none that can be read."""
    try:
        facts: dict[str, Any] = json.loads(part(folder, key, "json").read_text(encoding="utf-8"))
        return Job(**{name: value for name, value in facts.items() if name in _NAMES} | {"argv": tuple(facts["argv"])})
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def read_all(folder: Path) -> list[Job]:
    """All questions, in the order in which they were asked."""
    found = [job for path in folder.glob("*.json") if (job := read(folder, path.stem)) is not None]
    return sorted(found, key=lambda job: (job.asked_at, job.key))


def remove(folder: Path, key: str) -> None:
    """Nothing is left of the question."""
    for suffix in PARTS:
        part(folder, key, suffix).unlink(missing_ok=True)


def prune(folder: Path) -> None:
    """The newest `KEPT` that have ended stay."""
    ended = sorted((job for job in read_all(folder) if not job.is_unfinished), key=lambda job: job.finished_at or "", reverse=True)
    for job in ended[KEPT:]:
        remove(folder, job.key)


@contextmanager
def table_lock(folder: Path) -> Iterator[None]:
    """Nobody else changes what has become of questions meanwhile."""
    with (folder / "table.lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def take_work(folder: Path) -> IO[Any] | None:
    """The lock of the one process that answers; None where there is one. It goes with the process and the command it runs."""
    file = (folder / "work.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def is_worked_on(folder: Path) -> bool:
    """Whether a process answers questions at this moment."""
    with suppress(FileNotFoundError), (folder / "work.lock").open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def said_last(path: Path, *, at_most: int = 4096) -> str:
    """The end of a file of text; empty where there is none."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - at_most))
        return file.read().decode("utf-8", errors="replace")
    return ""


_NAMES: Final = frozenset(field.name for field in fields(Job))
