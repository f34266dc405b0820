"""What an import did not take is kept: refused files as they are, rejected rows in a list to mend them by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import SourceFileError, UnavailableError
from pipelines.faults import files as faults
from pipelines.steps.import_defects import refused
from pipelines.steps.import_reading import ReadFile, read_file, sha256_of
from pipelines.stores.refused_files import keep_refused, write_rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipelines.steps.import_mapping import Dialect, ImportMapping, SourceFile
    from pipelines.steps.import_report import RejectedRow

_TOLD = ("_line", "_code", "_column", "_reason")


def keep_files(refusal: SourceFileError, *, folder: Path, keep_in: Path | None, mapping: str) -> Iterator[str]:
    """The refused files stand in `keep_in`; a line about each. That there is no room for one hides no refusal."""
    for name in dict.fromkeys(refusal.files) if keep_in else ():
        file = folder / name
        reason = "\n".join(line for line in str(refusal).splitlines() if f" {name}" in line)
        try:
            sha256 = sha256_of(file)
            kept = keep_refused(keep_in, file, sha256=sha256, reason=reason, mapping=mapping) if keep_in else file
        except SourceFileError:
            continue  # it is not there, or nobody may read it: there is nothing to keep
        except OSError as exc:
            yield f"{name} could not be kept: {exc.strerror}."
        else:
            yield f"{name} is kept as {kept} (sha256 {sha256})."


def list_rejected(
    rejected: Mapping[str, Sequence[RejectedRow]],
    parts: Mapping[str, Sequence[ReadFile]],
    mapping: ImportMapping,
    *,
    folder: Path,
    keep_in: Path | None,
) -> list[str]:
    """Each file's rejected rows stand in a CSV file of `keep_in`, as the file has them and with line, code and reason.

    Raises:
        SourceFileError: A file is not any more what it was when it was checked.
        UnavailableError: There is no room for the list.
    """
    written = []
    for name, declared in mapping.files.items():
        for part in parts[name] if keep_in else ():
            if part.name in rejected and keep_in:
                rows = _rows_of(part, rejected[part.name], declared, mapping.dialect, folder=folder)
                stem = f"{part.sha256[:16]}-{name}"
                try:
                    written.append(str(write_rejected(keep_in, stem, rows, columns=[*_TOLD, *declared.columns])))
                except OSError as exc:
                    raise UnavailableError(
                        f"The rejected rows of {part.name} cannot be listed in {keep_in}: {exc.strerror}; nothing was imported; "
                        "make room and import again."
                    ) from None
    return written


def _rows_of(
    part: ReadFile, rejected: Sequence[RejectedRow], declared: SourceFile, dialect: Dialect, *, folder: Path
) -> Iterator[dict[str, object]]:
    again = read_file(folder / part.name, declared=declared, dialect=dialect)
    if again.sha256 != part.sha256:
        raise refused(faults.CHANGED, part.name)
    lines = {row.line: row for row in rejected}
    for values in again.rows.iter_rows(named=True):
        row = lines.get(values["_line"])
        if row:
            yield values | dict(zip(_TOLD, (row.line, row.rule, row.column, row.message), strict=True))
