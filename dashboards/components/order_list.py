"""Open orders as a list, of which one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.order_words import waits_for
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_COLUMNS: Final = (
    "order_id",
    "promise",
    "waits_for",
    "age_days",
    "promised_delivery_date",
    "net_reporting_amount",
    "units",
    "channel_id",
    "location",
)


def open_order_list(rows: pl.DataFrame, *, as_of: date, filters: Mapping[str, str], definitions: Mapping[str, str]) -> str | None:
    """The list with its export; the id of the order that a reader has chosen.

    Args:
        rows: As `queries.orders.open_orders` gives them.
        as_of: The last complete day.
        filters: By what they were chosen.
        definitions: What columns mean.
    """
    st.caption("Overdue orders first. Choose one to see everything that happened to it.")
    chosen = data_table(
        _in_words(rows, as_of=as_of), name="open-orders", as_of=as_of, alt="Open orders, overdue ones first; choose one to open it",
        columns=_COLUMNS, labels=_labels(rows), filters=filters, definitions=definitions, selects="single-row",
    )  # fmt: skip
    return str(chosen[0]["order_id"]) if chosen else None


def _in_words(rows: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    waits = [waits_for(stage, cause) for stage, cause in rows.select("stage_number", "cause").iter_rows()]
    late = (pl.lit(as_of) - pl.col("promised_delivery_date")).dt.total_days()
    day = pl.when(late.abs() == 1).then(pl.lit("day")).otherwise(pl.lit("days"))
    promise = (
        pl.when(late == 0).then(pl.lit("Broken today"))
        .when(late > 0).then(pl.format("{} {} overdue", late, day))
        .otherwise(pl.format("{} {} left", -late, day))
    )  # fmt: skip
    return rows.with_columns(
        pl.Series("waits_for", waits, dtype=pl.String), promise.alias("promise"),
        pl.format("{} of {}", "shipped_qty", "ordered_qty").alias("units"),
    )  # fmt: skip


def _labels(rows: pl.DataFrame) -> dict[str, Any]:
    column = st.column_config
    return {
        "order_id": column.TextColumn("Order", width=95, pinned=True), "promise": column.TextColumn("Promise", width=115),
        "waits_for": column.TextColumn("Waits for", width=110), "age_days": column.NumberColumn("Age (days)", format="%d", width=75),
        "promised_delivery_date": column.DateColumn("Promised for", format="ddd D MMM", width=105),
        "net_reporting_amount": column.NumberColumn(f"Value ({_currency(rows)})", format="%,.0f", width=90),
        "units": column.TextColumn("Units shipped", width=100), "channel_id": column.TextColumn("Channel", width=100),
        "location": column.TextColumn("Location", width=80),
    }  # fmt: skip


def _currency(rows: pl.DataFrame) -> str:
    return str(rows["reporting_currency_code"][0])
