"""Failures of runs that the operational store could not be told of: a small file in the home folder, whole or not there."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pipelines.stores.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = "waiting_failures.json"
_LOCK: Final = "waiting_failures.lock"


@dataclass(frozen=True, slots=True)
class WaitingFailure:
    """One failure, and each time it was repeated.

    Attributes:
        exception_id: Id that its exception will have.
        subject: What failed, as in ordercast/store: the job and the step.
        message: What it said last.
        first_at: When it was met first, UTC without zone.
        last_at: When it was met last.
        count: How often it was met.
        is_told: Whether the channel has it, or may have it.
    """

    exception_id: str
    subject: str
    message: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    is_told: bool = False


@contextmanager
def waiting_failures(home: Path) -> Iterator[list[WaitingFailure]]:
    """The failures that wait, for this process alone; what the list holds at the end of the block is what waits then.

    Raises:
        OSError: The file cannot be read or written. It is as it was.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = read_waiting(home)
        before = list(waiting)
        yield waiting
        if waiting != before:
            save_waiting(home, waiting)


def read_waiting(home: Path) -> list[WaitingFailure]:
    """The failures that wait, oldest first; none where the file is missing or no file of ours."""
    try:
        rows = json.loads((home / FILE).read_text(encoding="utf-8"))
        return [
            WaitingFailure(**row | {name: datetime.fromisoformat(row[name]) for name in ("first_at", "last_at")}) for row in rows
        ]  # fmt: skip
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return []  # a file that somebody broke must not keep the next failure from being told


def save_waiting(home: Path, waiting: list[WaitingFailure]) -> None:
    """Exactly these wait, also after a power cut."""
    if waiting:
        write_durably(home / FILE, json.dumps([asdict(one) for one in waiting], default=datetime.isoformat, indent=2))
    else:
        (home / FILE).unlink(missing_ok=True)


def repeated(one: WaitingFailure, *, message: str, at: datetime) -> WaitingFailure:
    """The same failure, met once more."""
    return replace(one, message=message, last_at=at, count=one.count + 1)
