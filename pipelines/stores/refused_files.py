"""The folder of what an import refused: whole files with the reason beside them, and lists of rejected rows to mend.

What stands there is as the export had it, so it may hold personal data: only the owner may read it, and it goes after some days.
"""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipelines.stores.spreadsheets import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LARGEST_KEPT_BYTES: Final = 2 * 1024**3


def keep_refused(folder: Path, file: Path, *, sha256: str, reason: str, mapping: str) -> Path:
    """A copy of the file stands in `folder`, and beside it a JSON file that says when and why it was refused.

    Of a file beyond 2 GB only the JSON is kept. Returns the path of the copy, or of the JSON alone.

    Raises:
        OSError: There is no room, or no right to write.
    """
    _make(folder)
    kept = folder / f"{sha256[:16]}-{file.name}"
    size = file.stat().st_size
    told = {"file": file.name, "sha256": sha256, "bytes": size, "mapping": mapping, "refused_at": datetime.now(UTC), "reason": reason}
    beside = kept.with_name(f"{kept.name}.json")
    beside.write_text(json.dumps(told, default=str, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if size > LARGEST_KEPT_BYTES:
        return beside
    shutil.copyfile(file, kept)
    return kept


def write_rejected(folder: Path, name: str, rows: Iterable[Mapping[str, object]], *, columns: Sequence[str]) -> Path:
    """The rejected rows of one file stand in `folder` as CSV; a text that a spreadsheet would take for a formula is quoted.

    Raises:
        OSError: There is no room, or no right to write.
    """
    _make(folder)
    path = folder / f"{name}.rejected.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(map(_cell, columns))
        writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return path


def remove_old_refused(folder: Path, *, days: int, now: datetime | None = None) -> int:
    """Files that lie in `folder` for longer than `days` are gone; returns how many."""
    oldest = ((now or datetime.now(UTC)) - timedelta(days=days)).timestamp()
    old = [path for path in folder.iterdir() if path.is_file() and path.stat().st_mtime < oldest] if folder.is_dir() else []
    for path in old:
        path.unlink()
    return len(old)


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) and not _is_number(value) else value


def _is_number(text: str) -> bool:
    return text[:1] in {"+", "-"} and text[1:].replace(".", "", 1).replace(",", "", 1).isdecimal()
