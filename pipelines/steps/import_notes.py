"""What an import accepted and a reader of the figures should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.faults import files as faults
from pipelines.faults.fault import escaped
from pipelines.steps.import_report import FileCounts, ImportNote, TableCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipelines.faults.fault import Fault
    from pipelines.steps.import_mapping import ImportMapping
    from pipelines.steps.import_reading import ReadFile


def rule_notes(mapping: ImportMapping, counts: Mapping[str, int]) -> Iterator[ImportNote]:
    """One for each `warn` rule that holds for a row."""
    reasons = {rule.name: rule.because for file in mapping.files.values() for rule in file.rules}
    for name, count in counts.items():
        if count:
            yield ImportNote(name=name, count=count, message=f"{name}: {count:,} rows: {reasons[name]}")


def file_notes(parts: Iterable[ReadFile], counts: Sequence[FileCounts]) -> Iterator[ImportNote]:
    """What is odd about whole files; `counts` follows the order of `parts`."""
    for part, rows in zip(parts, counts, strict=True):
        if part.extra_columns:
            detail = f": {', '.join(map(escaped, part.extra_columns))}"
            yield _note(faults.EXTRA_COLUMNS, part.name, "extra_columns", len(part.extra_columns), detail)
        if not part.rows_read:
            yield _note(faults.NO_ROWS, part.name, "no_rows", 1)
        if part.is_copy:
            yield _note(faults.SAME_FILE, part.name, "same_file", part.rows_read, f" ({part.rows_read:,} rows)")
        elif rows.rows_duplicate:
            yield _note(faults.SHARED_ROWS, part.name, "shared_rows", rows.rows_duplicate, f" ({rows.rows_duplicate:,})")


def repeated_hour_note(table: str, column: str, count: int, *, zone: str) -> ImportNote:
    """Times that two moments may be meant by."""
    return _note(faults.REPEATED_HOUR, f"{table}.{column}", "repeated_hour", count, f" ({count:,} times, {zone})")


def nothing_new_notes(folder: str, tables: Iterable[TableCounts]) -> Iterator[ImportNote]:
    """Says so where files were imported before: rows are compared, since what a store held once it may hold no more."""
    built, written = 0, 0
    for table in tables:
        built, written = built + table.rows_built, written + table.rows_written
    if built and not written:
        yield _note(faults.NOTHING_NEW, folder, "nothing_new", built, f" ({built:,} rows)")


def _note(fault: Fault, place: str, name: str, count: int, detail: str = "") -> ImportNote:
    return ImportNote(name=f"{place}:{name}", count=count, message=fault.message(place, detail=detail))
