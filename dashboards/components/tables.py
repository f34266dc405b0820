"""A table of a page: columns labelled and formatted by their names, a height that fits, and an export of the raw values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, spoken
from dashboards.components.states import show_not_available

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.reports import ReportTable

_HEAD_PIXELS: Final = 37
_ROW_PIXELS: Final = 35
_LINE_PIXELS: Final = 20
_WRAPS_FROM_PIXELS: Final = 65  # in lower rows Streamlit breaks no text
ROWS_SHOWN: Final = 12
_LABELS: Final = {
    "sku": "Item", "n": "n", "location_id": "Location", "supplier_id": "Supplier", "customer_key": "Customer", "order_id": "Order",
    "abc_class": "ABC", "xyz_class": "XYZ", "channel_id": "Channel",
}  # fmt: skip
_UNITS: Final = {"qty": "units", "days": "days", "hours": "hours", "minutes": "minutes"}


def data_table(
    frame: pl.DataFrame,
    *,
    name: str,
    as_of: date,
    alt: str,
    filters: Mapping[str, Any],
    definitions: Mapping[str, str],
    columns: Sequence[str] = (),
    labels: Mapping[str, Any] | None = None,
    selects: Literal["single-row", "multi-row"] | None = None,
    lines: int = 1,
    opens: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """The table with its export above it; returns the rows that a reader has chosen.

    Args:
        frame: All rows and columns that are exported.
        name: What the table is called in keys, files and the access log.
        as_of: The last complete day it speaks of.
        alt: What it shows, for those who do not see it.
        columns: The columns shown, in this order; default is all.
        labels: A heading, or a column of `st.column_config`, for names that say too little by themselves.
        filters: By what the rows were chosen; `{}` where they speak of everything.
        definitions: What columns mean: help in the heading, and part of the export; names that say all by themselves need none.
        lines: Lines of text that a row has room for.
        selects: Lets rows be chosen; None for a table to read.
        opens: Called with the row that a reader clicks on, before the page is drawn anew: for rows that lead deeper.
    """
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(format_count(frame.height, "row"), width="content")
        export_button(frame, name=name, as_of=as_of, filters=filters, definitions=definitions)
    shown, key = frame.select(columns) if columns else frame, f"table-{name}"
    config = column_config(shown, labels=labels or {}, definitions=definitions, all_columns=frame)
    drawn, shape = _in_percent(shown), _shape(frame.height, lines) | {"column_config": config, "alt": alt, "key": key}
    if opens is not None:
        st.dataframe(drawn, on_select=lambda: _open(key, frame, opens), selection_mode=["single-row", "single-cell"], **shape)
    elif selects is None:
        st.dataframe(drawn, **shape)
    else:
        chosen = st.dataframe(drawn, on_select="rerun", selection_mode=selects, **shape)
        return [frame.row(place, named=True) for place in chosen["selection"]["rows"] if place < frame.height]
    return []


def _shape(rows: int, lines: int) -> dict[str, Any]:
    """As high as its rows, of which at most `ROWS_SHOWN` lines are seen at once."""
    row_height = _ROW_PIXELS if lines == 1 else max(_WRAPS_FROM_PIXELS, _ROW_PIXELS + _LINE_PIXELS * (lines - 1))
    height = row_height * min(rows, ROWS_SHOWN // lines) + _HEAD_PIXELS
    return {"hide_index": True, "height": height, "row_height": row_height, "placeholder": "-"}


def _in_percent(shown: pl.DataFrame) -> pl.DataFrame:
    """Rates as percent and money as plain numbers: what a browser can format."""
    rates = [column for column in shown.columns if column.endswith("_rate") and shown[column].dtype.is_numeric()]
    return shown.with_columns(pl.col(rates) * 100).with_columns(pl.col(pl.Decimal).cast(pl.Float64))


def _open(key: str, frame: pl.DataFrame, opens: Callable[[dict[str, Any]], None]) -> None:
    """What was clicked last is handed on, a row by its box or by any of its cells."""
    selection = st.session_state[key]["selection"]
    places = selection["rows"] or [row for row, _ in selection["cells"]]
    if places and places[0] < frame.height:
        opens(frame.row(places[0], named=True))


def report_table(
    found: ReportTable,
    served: Served,
    *,
    columns: Sequence[str] = (),
    labels: Mapping[str, Any] | None = None,
    filters: Filters | None = None,
    empty: str = "Nothing to list.",
) -> None:
    """A report under its question, or what it lacks, or that there is nothing."""
    st.markdown(f"**{escape_markdown(found.report.question)}**", help=escape_markdown(found.report.description))
    if found.missing:
        show_not_available(found.report.question.rstrip("?"), found.missing)
        return
    if found.rows.is_empty():
        st.caption(empty)
        return
    if found.rows.height < found.rows_count:
        st.caption(f"The first {found.rows.height:,} of {found.rows_count:,}; `ordercast report {found.report.name} --csv` has all.")
    data_table(
        found.rows, name=found.report.name.replace("_", "-"), as_of=served.context.as_of_date, alt=found.report.question, columns=columns,
        labels=labels, filters=filters.as_export() if filters else {}, definitions=found.definitions,
    )  # fmt: skip


def column_config(
    frame: pl.DataFrame, *, labels: Mapping[str, Any], definitions: Mapping[str, str], all_columns: pl.DataFrame
) -> dict[str, Any]:
    """A heading with its unit and a format for each column, by what its name ends in."""
    codes = (
        all_columns["currency_code"].drop_nulls().unique().sort()
        if "currency_code" in all_columns.columns
        else pl.Series([], dtype=pl.String)
    )
    currency = "/".join(codes)
    return {
        name: _column(name, dtype, labels.get(name), currency=currency, explained=definitions.get(name))
        for name, dtype in frame.schema.items()
    }


def _column(name: str, dtype: pl.DataType, label: Any, *, currency: str, explained: str | None) -> Any:
    if label is not None and not isinstance(label, str):
        return label
    column, last = st.column_config, name.rpartition("_")[2]
    said = label or _label(name, currency=currency)
    if dtype == pl.Date:
        return column.DateColumn(said, format="ddd D MMM YYYY", help=explained)
    if isinstance(dtype, pl.Datetime):
        return column.DatetimeColumn(said, format="ddd D MMM YYYY HH:mm", help=explained)
    if dtype == pl.Boolean:
        return column.CheckboxColumn(said, help=explained)
    if dtype.is_numeric():
        return column.NumberColumn(said, format=_format(last, dtype), help=explained)
    return column.TextColumn(said, help=explained)


def _label(name: str, *, currency: str) -> str:
    stem, _, last = name.rpartition("_")
    if name in _LABELS:
        said = _LABELS[name]
    elif last == "amount":
        said = _sentence(stem.removesuffix("_reporting") or last) + (f" ({currency})" if currency else "")
    elif last == "rate":
        said = f"{_sentence(stem or 'share')} (%)"
    elif last in _UNITS and stem:
        said = f"{_sentence(stem)} ({_UNITS[last]})"
    elif last == "count" and stem:
        said = _sentence(stem if stem.endswith(("s", "ed", "ing")) else f"{stem}s")  # "failed_count" counts no "faileds"
    elif last in {"date", "id", "key"} and stem:
        said = _sentence(stem)
    else:
        said = _sentence(name.removeprefix("is_").removeprefix("has_"))
    return said


def _sentence(name: str) -> str:
    words = spoken(name).strip()
    return words[:1].upper() + words[1:]


def _format(last: str, dtype: pl.DataType) -> str:
    if last == "rate":
        return "%,.1f"
    if dtype.is_integer() or last in {"amount", "qty", "count"}:
        return "%,.0f"
    return "%,.1f" if last in {"days", "hours", "minutes"} else "%,.2f"
