"""How an import speaks of a file it refuses and of a row it rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.errors import SourceFileError
from pipelines.faults.catalogue import FAULTS
from pipelines.steps.import_report import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.faults.fault import Fault

_BETWEEN: Final = "\x1f"  # the unit separator: no column is named so


def refused(
    fault: Fault, file: str, *, detail: str = "", line: int | None = None, column: str | None = None, got: object = None
) -> SourceFileError:
    """The error for a file that is refused as a whole."""
    return SourceFileError(fault.message(_place(file, line, column), detail=detail, got=got), files=(file,))


def raise_all(refusals: Iterable[SourceFileError]) -> None:
    """Refuse all of these files at once, a line for each; nothing happens where there is none."""
    found = list(refusals)
    if found:
        raise SourceFileError("\n".join(map(str, found)), files=tuple(name for exc in found for name in exc.files))


def defect(fault: Fault, *, column: str = "", detail: str = "") -> str:
    """What is wrong with a row, as its `_defect` holds it."""
    return _BETWEEN.join((fault.code, column, detail))


def defect_sql(fault: Fault, *, column: str = "", detail: str = "''", got: str = "NULL") -> str:
    """SQL for the same, where `detail` and `got` are SQL expressions; a null `got` is none."""
    begins = (_BETWEEN.join((fault.code, column)) + _BETWEEN).replace("'", "''")
    return f"'{begins}' || {detail} || coalesce('{_BETWEEN}' || {got}, '')"


def rejected_row(file: str, line: int, text: str) -> RejectedRow:
    """A row that was left out, with the message to its `_defect`."""
    code, column, detail, *got = text.split(_BETWEEN, maxsplit=3)
    message = FAULTS[code].message(_place(file, line, column), detail=detail, got=got[0] if got else None)
    return RejectedRow(file=file, line=line, column=column or None, rule=code, message=message)


def _place(file: str, line: int | None, column: str | None) -> str:
    return file + (f" line {line}" if line else "") + (f" {column}" if column else "")
