"""Text in CSV that a spreadsheet would take for a formula gets a `'` in front; numbers and dates stand as they are."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import polars as pl

_FORMULA_START: Final = r"^([=+\-@\t\r])"
_Cell = TypeVar("_Cell")


def guarded(cell: _Cell) -> _Cell | str:
    """The value of one cell."""
    return f"'{cell}" if isinstance(cell, str) and re.match(_FORMULA_START, cell) else cell


def guarded_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """All cells and headings."""
    cells = frame.with_columns(pl.col(pl.String).str.replace(_FORMULA_START, "'${1}"))
    return cells.rename({name: str(guarded(name)) for name in cells.columns})
