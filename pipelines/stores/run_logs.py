"""What runs say of themselves, a line of JSON each, in one file a day that several processes may write."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT: Final = "ordercast"
FACTS: Final = ("state", "seconds", "peak_memory_mb")  # of a record's `extra`, beside `step`
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
_standing: dict[str, str] = {}  # run_id and step of the work that this process is at; it is at one at a time


class RunLog(logging.Handler):
    """Appends every record of our loggers to `FOLDER/2026-10-31.jsonl`, the day being of UTC.

    A line is written by one system call at the file's end, so lines of several processes never mix. Where the disk is full or the
    folder has gone, lines are lost and the run goes on: a log is no reason to stop.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.INFO)
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        """The record stands at the end of the file of its day."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = json.dumps(_facts(record, at), ensure_ascii=False, default=str) + "\n"
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder / f"{at:%Y-%m-%d}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)


@contextmanager
def logged(folder: Path, *, run_id: str, step: str) -> Iterator[None]:
    """Inside the block, what our loggers say stands in the log of this folder, with the run and its step."""
    logger, before, level = logging.getLogger(ROOT), dict(_standing), logging.getLogger(ROOT).level
    handler = RunLog(folder)
    _standing.update(run_id=run_id, step=step)
    logger.addHandler(handler)
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        _standing.clear()
        _standing.update(before)


def read_log(folder: Path, *, run_id: str | None = None, days: int = 1) -> Iterator[dict[str, Any]]:
    """Records of the newest `days` files that exist, oldest first: at, level, logger, run_id, step, message, and facts where there are.

    Args:
        folder: The folder of logs.
        run_id: Only of the run whose id begins so.
        days: How many files to read.
    """
    files = sorted(path for path in folder.glob("*.jsonl") if _DAY.fullmatch(path.name)) if folder.is_dir() else []
    for path in files[-days:]:
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            with suppress(ValueError):  # half a line, from a process that died or a disk that was full
                record = json.loads(line)
                if run_id is None or str(record.get("run_id", "")).startswith(run_id):
                    yield record


def remove_old_logs(folder: Path, *, days: int, now: datetime | None = None) -> int:
    """Files of days more than `days` ago are gone; returns how many."""
    oldest = f"{(now or datetime.now(UTC)) - timedelta(days=days):%Y-%m-%d}.jsonl"
    old = [path for path in folder.glob("*.jsonl") if _DAY.fullmatch(path.name) and path.name < oldest] if folder.is_dir() else []
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _facts(record: logging.LogRecord, at: datetime) -> dict[str, Any]:
    facts = {"at": at.isoformat(timespec="milliseconds"), "level": record.levelname.lower(), "logger": record.name, **_standing}
    facts |= {name: value for name in FACTS if (value := getattr(record, name, None)) is not None}
    # Dagster puts the run and the step before what a logger said; the line has both already
    facts["message"] = getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        facts["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    return facts
