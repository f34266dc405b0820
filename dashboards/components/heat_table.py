"""A table of two dimensions whose cells are shaded by a measure, each with its figure in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, layered
from dashboards.components.formats import format_amount

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW_PIXELS: Final = 44
_HEAD_PIXELS: Final = 40
_SPLIT: Final = "split(datum.label, ': ')"  # "X: steady" on two lines
_FAINTEST: Final = 0.04
_STRONGEST: Final = 0.45  # opacity, so that text on it keeps its contrast in both themes


def heat_table(
    frame: pl.DataFrame,
    *,
    row: str,
    column: str,
    value: str,
    unit: str,
    currency: str,
    rows: Sequence[str],
    columns: Sequence[str],
    is_low_marked: bool = False,
    second: str | None = None,
    selects: str | None = None,
) -> Layers:
    """Cells in the order of `rows` and `columns`, shaded the stronger the higher, or the lower, their value.

    Args:
        frame: A row per cell; without a value it is "-".
        row: Column that names the rows.
        column: Column that names the columns.
        value: What cells show and are shaded by.
        unit: Of the value, as metrics have it.
        currency: Of money; cells leave it out, for they are narrow on a phone.
        rows: The rows' names from top to bottom.
        columns: The columns' names from left to right.
        is_low_marked: Low values are what is to be seen: they are shaded, in the colour of warnings.
        second: Column of text that stands below the value.
        selects: Name of the selection that a click on a cell makes.
    """
    written = [(format_amount(one, "count" if unit == "money" else unit, ""), format_amount(one, unit, currency)) for one in frame[value]]
    figures = pl.DataFrame(written, schema={"figure": pl.String, "said": pl.String}, orient="row")
    heads = alt.Axis(orient="top", labelAngle=0, labelOverlap=False, domain=False, ticks=False, grid=False, labelExpr=_SPLIT)
    base = as_chart(frame.with_columns(figures)).encode(
        alt.X(f"{column}:N", sort=list(columns), title=None, axis=heads),
        alt.Y(f"{row}:N", sort=list(rows), title=None, axis=alt.Axis(labelLimit=160, domain=False, ticks=False, grid=False)),
    )
    told = [alt.Tooltip(f"{row}:N"), alt.Tooltip(f"{column}:N"), alt.Tooltip("said:N", title="Value")]
    cells = _cells(base, frame[value], is_low_marked=is_low_marked, is_clicked=bool(selects)).encode(tooltip=told)
    if selects:
        cells = cells.add_params(alt.selection_point(name=selects, fields=[row, column]))
    return layered([cells, *_figures(base, second)], height=_ROW_PIXELS * len(rows) + _HEAD_PIXELS)


def _cells(base: alt.Chart, values: pl.Series, *, is_low_marked: bool, is_clicked: bool) -> alt.Chart:
    """Shaded the stronger the higher, or the lower, from the least to the most of what is known."""
    ends = [_STRONGEST, _FAINTEST] if is_low_marked else [_FAINTEST, _STRONGEST]
    cells: alt.Chart = base.mark_rect(
        color=theme.WARNING if is_low_marked else theme.ACCENT, stroke=theme.REFERENCE, strokeOpacity=0.35,
        cursor="pointer" if is_clicked else "default",
    ).encode(alt.Opacity(f"{values.name}:Q", scale=alt.Scale(domain=_range(values), range=ends, clamp=True), legend=None))  # fmt: skip
    return cells


def _figures(base: alt.Chart, second: str | None) -> list[alt.Chart]:
    ink = theme.INK["dark" if st.context.theme.type == "dark" else "light"]
    figures = base.mark_text(fontSize=13, fontWeight=600, dy=-8 if second else 0, color=ink).encode(text="figure:N")
    return [figures, base.mark_text(fontSize=11, dy=10, color=ink).encode(text=f"{second}:N")] if second else [figures]


def _range(values: pl.Series) -> list[float]:
    known = [float(one) for one in values.drop_nulls()]
    low, high = min(known, default=0.0), max(known, default=1.0)
    return [low, high if high > low else low + 1.0]
