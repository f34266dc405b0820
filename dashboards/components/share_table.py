"""Who gets how much of what is scarce, beside what other rules would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, draw, layered
from dashboards.components.formats import escape_markdown, format_units
from dashboards.components.tables import data_table
from pipelines.decisions.wording import basis_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_BAR_PIXELS: Final = 30
_MOST_BARS: Final = 15
_METHODS: Final = {"fair_share": "in proportion to what each wants", "marginal_value": "to where a unit is worth most"}


def show_shares(lines: pl.DataFrame, suggestion: Mapping[str, Any], *, as_of: date) -> None:
    """The split as a chart with its answer in the title, and line by line with why."""
    basis = basis_of(suggestion)
    free = basis.get("free_qty")
    st.markdown(f"**{escape_markdown(split_words(lines))}**")
    if lines.height:
        draw(_chart(lines.head(_MOST_BARS)), alt_text="What each order line wants, in grey, and gets, in blue")
    if lines.height > _MOST_BARS:
        st.caption(f"The first {_MOST_BARS} of {lines.height:,} order lines are drawn; the table has all.")
    data_table(
        lines, name="allocation-split", as_of=as_of, alt="What each order line wants and gets, and why", columns=_SHOWN, labels=_COLUMNS,
        filters={name: suggestion[name] for name in ("sku", "location_id")}, definitions=_DEFINITIONS, lines=2,
    )  # fmt: skip
    how = _METHODS.get(str(basis.get("method")), "")
    there = "1 unit is" if free == 1 else f"{format_units(free)} units are"
    st.caption(
        f"{there} there to give" + (f", given {how}, the channel with the lowest priority number first." if how else ".")
        + " Sharing changes who waits, not how many units do."
    )  # fmt: skip


def split_words(lines: pl.DataFrame) -> str:
    """As in "50 of 80 wanted units, shared among 3 order lines; 1 gets all it wants, 1 nothing"."""
    if lines.is_empty():
        return "Who gets how much is not in this release"
    wanted, given = int(lines["wanted_qty"].sum()), int(lines["qty"].sum())
    full = lines.filter(pl.col("qty") >= pl.col("wanted_qty")).height
    none = lines.filter(pl.col("qty") == 0).height
    of_lines = f"{lines.height:,} order line{'' if lines.height == 1 else 's'}"
    rest = [f"{full:,} get{'s' if full == 1 else ''} all" if full else "", f"{none:,} nothing" if none else ""]
    said = ", ".join(filter(None, rest))
    return f"{given:,} of {wanted:,} wanted units for {of_lines}{f'; {said}' if said else ''}"


def _chart(lines: pl.DataFrame) -> Layers:
    order = lines["order_line_id"].to_list()
    label = alt.Y("order_line_id:N", sort=order, title=None, axis=alt.Axis(labelLimit=160, grid=False))
    units = alt.Axis(format=",.0f", tickMinStep=1)
    told = [
        alt.Tooltip("order_id:N", title="Order"), alt.Tooltip("wanted_qty:Q", title="Wants"), alt.Tooltip("qty:Q", title="Gets"),
        alt.Tooltip("why:N", title="Why"),
    ]  # fmt: skip
    base = as_chart(lines.with_columns(said=pl.format("gets {} of {}", "qty", "wanted_qty")))
    wants = base.mark_bar(color=theme.REFERENCE, opacity=0.35, size=18).encode(
        alt.X("wanted_qty:Q", title="Units", axis=units), label, tooltip=told
    )
    gets = base.mark_bar(color=theme.ACCENT, size=10).encode(alt.X("qty:Q"), label, tooltip=told)
    text = base.mark_text(align="left", dx=4, color=theme.REFERENCE, fontSize=12).encode(alt.X("wanted_qty:Q"), label, text="said:N")
    return layered([wants, gets, text], height=_BAR_PIXELS * lines.height + 50)


_SHOWN: Final = (
    "order_id", "channel_id", "ordered_date", "promised_ship_date", "wanted_qty", "qty", "equal_qty", "in_turn_qty", "why",
)  # fmt: skip
_DEFINITIONS: Final = {
    "priority": "Of the order's channel; the lowest number is served first.",
    "wanted_qty": "Units that the order line still asks for.",
    "qty": "As proposed, in units.",
    "equal_qty": "In proportion to wants, whatever the channel.",
    "in_turn_qty": "First come, first served.",
}
_COLUMNS: Final = {
    "order_id": st.column_config.TextColumn("Customer order", width=115),
    "channel_id": st.column_config.TextColumn("Channel", width=80),
    "ordered_date": st.column_config.DateColumn("Ordered", format="D MMM", width=70),
    "promised_ship_date": st.column_config.DateColumn("Promised", format="D MMM", width=75),
    "wanted_qty": st.column_config.NumberColumn("Wants", format="%,d", width=60, help=_DEFINITIONS["wanted_qty"]),
    "qty": st.column_config.NumberColumn("Gets", format="%,d", width=55, help=_DEFINITIONS["qty"]),
    "equal_qty": st.column_config.NumberColumn("Fair share", format="%,d", width=80, help=_DEFINITIONS["equal_qty"]),
    "in_turn_qty": st.column_config.NumberColumn("In turn", format="%,d", width=65, help=_DEFINITIONS["in_turn_qty"]),
    "why": st.column_config.TextColumn("Why", width=330),
}
