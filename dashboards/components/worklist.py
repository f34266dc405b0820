"""The list of open suggestions, of which one is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.formats import format_date, format_units

if TYPE_CHECKING:
    from datetime import date

_ROW_PIXELS: Final = 35
_ROWS_SHOWN: Final = 10


def worklist(frame: pl.DataFrame, *, as_of: date, today: date) -> dict[str, Any] | None:
    """The suggestions as they are sorted; returns the chosen one, which is the first until a person chooses."""
    if frame.is_empty():
        st.info("No suggestion of this supplier and location. Clear a filter to see more.", icon=":material/filter_alt_off:")
        return None
    currency = "/".join(frame["currency_code"].drop_nulls().unique().sort())
    shown = frame.select(
        pl.Series("due", ["Today" if day <= as_of else format_date(day, today=today) for day in frame["order_by"]]),
        pl.format("{} · {}", "sku", "location").alias("item"),
        "reason",
        pl.Series(
            "quantity",
            [f"{format_units(qty)} ({format_units(raw)})" for qty, raw in frame.select("recommended_qty", "raw_qty").iter_rows()],
        ),
        "cost",
        "at_risk",
        # a loss that is rare and large has a p90 below its mean, and "up to" that would mislead
        pl.when(pl.col("cost_if_ignored_p90") > pl.col("at_risk")).then("cost_if_ignored_p90").alias("at_risk_p90"),
        "supplier",
        pl.col("status").str.replace_all("_", " ").str.to_titlecase().alias("status"),
    )
    chosen = st.dataframe(
        shown,
        column_config=_columns(currency),
        hide_index=True,
        height=_ROW_PIXELS * (min(frame.height, _ROWS_SHOWN) + 1) + 2,
        on_select="rerun",
        selection_mode="single-row-required",
        placeholder="-",
        key="worklist",
        alt="Reorder suggestions, most urgent first",
    )
    rows = chosen["selection"]["rows"]
    return frame.row(rows[0] if rows and rows[0] < frame.height else 0, named=True)


def _columns(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "due": column.TextColumn("Order by", width=80),
        "item": column.TextColumn("Item", width=135),
        "reason": column.TextColumn("Why", width=300),
        "quantity": column.TextColumn("Units (raw)", width=85, help="What to order in the supplier's packs, and the raw need behind it."),
        "cost": column.NumberColumn(f"Cost ({currency})", format="%,.0f", width=78),
        "at_risk": column.NumberColumn(
            f"At risk ({currency})",
            format="%,.0f",
            width=90,
            help="Margin expected to be lost if nothing is ordered before the next review; at unit cost where no margin is known.",
        ),
        "at_risk_p90": column.NumberColumn(
            f"Up to ({currency})", format="%,.0f", width=80, help="In nine cases of ten no more is lost (p90); - where a loss is rarer."
        ),
        "supplier": column.TextColumn("Supplier", width=85),
        "status": column.TextColumn("Status", width=80, help="From the operational store, at this moment."),
    }
