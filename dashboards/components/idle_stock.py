"""Stock that lies idle: how old it is, what is excess or dead, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import format_count, format_money, format_percent
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

STATES: Final = ("Dead", "Excess", "Aged")
AGE_BANDS: Final = {
    "000-030": "Up to 30 days", "031-090": "31-90 days", "091-180": "91-180 days", "181-365": "181-365 days", "366+": "Over a year",
}  # fmt: skip
_COLUMNS: Final = (
    "state", "sku", "location", "idle_reporting_amount", "on_hand_qty", "days_of_supply", "days_since_last_sale", "advice", "title",
)  # fmt: skip
_DEFINITIONS: Final = {
    "state": "Dead: no unit left the location for 180 days. Excess: beyond 180 days of supply at the rate of the last 91 days. Aged: came "
    "in more than 180 days ago. An item shows the worst that holds; new items are neither dead nor excess.",
    "idle_reporting_amount": "The most of what is dead, excess and aged, at unit cost.",
    "advice": "What the plan suggests; else what the figures say, with nothing in the operational store behind it.",
}


def age_chart(served: Served, frame: pl.DataFrame, filters: Filters) -> None:
    """The stock's value by how long ago it came in."""
    code = served.context.currency_code
    rows = frame.with_columns(
        name=pl.col("age_band").replace(AGE_BANDS), value=pl.col("stock_value_reporting_amount").cast(pl.Float64)
    )  # fmt: skip
    chart_block(
        bar_chart(rows.drop_nulls("value"), value="value", unit="money"), title=age_title(rows, code), alt_text="Stock value by age",
        frame=rows, name="stock-by-age", as_of=served.context.as_of_date,
        caption="At unit cost, first in, first out; goods age anew at each location.",
        columns=("name", "value", "qty", "is_aged"), filters=filters.as_export(),
        definitions=COLUMN_WORDS | {"name": "How long ago it came in: first in, first out, anew at each location."},
        labels={"name": "Came in", "value": f"Stock value ({code})", "qty": "Units", "is_aged": "Aged"},
    )  # fmt: skip


def idle_table(served: Served, frame: pl.DataFrame, filters: Filters, *, opens: Callable[[dict[str, Any]], None]) -> None:
    """What lies idle with its money and what to do, most money first."""
    code = served.context.currency_code
    st.markdown(f"**{idle_title(frame, code)}**")
    if frame.is_empty():
        return
    st.caption("Most money first. Click a row to open the item.")
    data_table(
        frame, name="idle-stock", as_of=served.context.as_of_date, alt="Idle stock with what to do about it", columns=_COLUMNS,
        labels={"state": "State", "title": "Title", "location": "Location", "idle_reporting_amount": f"Idle ({code})",
                "on_hand_qty": "On hand (units)", "days_since_last_sale": "Last sale (days ago)",
                "days_of_supply": st.column_config.NumberColumn("Lasts (days)", format="%,.0f"),
                "advice": st.column_config.TextColumn("What to do", width=230, help=_DEFINITIONS["advice"])},
        definitions=COLUMN_WORDS | _DEFINITIONS, filters=filters.as_export(), opens=opens, lines=2,
    )  # fmt: skip


def age_title(rows: pl.DataFrame, currency: str) -> str:
    """How much of the stock's value is older than half a year."""
    total = float(rows["value"].drop_nulls().sum())
    aged = float(rows.filter(pl.col("is_aged"))["value"].drop_nulls().sum())
    if not total:
        return "No stock with a known age and value"
    return f"{format_percent(aged / total)} of the stock's value came in more than 180 days ago: {format_money(aged, currency)}"


def idle_title(frame: pl.DataFrame, currency: str) -> str:
    """How many items lie idle by state, with their money; an item counts once."""
    if frame.is_empty():
        return "Nothing lies idle: no dead, excess or aged stock"
    parts = []
    for state in STATES:
        rows = frame.filter(pl.col("state") == state)
        if rows.height:
            parts.append(f"{rows.height:,} {state.lower()} ({format_money(float(rows['idle_reporting_amount'].sum()), currency)})")
    return f"{format_count(frame.height, 'item')} at locations lie idle: {', '.join(parts)}"
