"""When the units of each open order line can be there, beside the day that was promised; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from inventory.eligibility import preferred_suppliers
from inventory.lead_time import lead_times
from inventory.promising import promise_dates
from pipelines.steps.recommend_reading import present_fields, read_terms
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from datetime import date

    import duckdb

NEEDED_TABLES: Final = ("stock_levels", "shipments")
SURE: Final = 0.9  # share of deliveries that have come by the lead time that is promised
_LINES: Final = """
    SELECT order_id, order_line_id, sku, location_id, open_qty, ordered_date, promised_ship_date, channel_priority AS priority
    FROM marts.fct_open_order_lines
"""
# what is committed is committed to lines like these
_POSITION: Final = """
    SELECT sku, location_id, on_hand_qty, greatest(0, coalesce(reserved_qty, 0)) AS reserved_qty,
        greatest(0, coalesce(damaged_qty, 0)) AS damaged_qty
    FROM marts.fct_inventory_position
"""
_INBOUND: Final = "SELECT sku, location_id, expected_date, open_qty FROM marts.fct_inbound WHERE open_qty > 0"


@dataclass(frozen=True, slots=True)
class Promises:
    """What can be promised.

    Attributes:
        lines: The columns of `promise_dates`, order_id, promised_ship_date (what was promised; null: nothing was) and late_days
            (days after it, 0 where it is kept; null where either day is not known); most late first, then those without a day.
        as_of: Last complete day.
        not_available: What the source would have to provide for any of it.
    """

    lines: pl.DataFrame
    as_of: date
    not_available: str | None


def promise_open_orders(conn: duckdb.DuckDBPyConnection) -> Promises:
    """The day on which the units of each open order line can be at the place that is to send it, and what it waits for.

    A line whose units have to be ordered takes the days in which nine of ten deliveries of its first supplier have come.

    Args:
        conn: The release.
    """
    missing = [table for table in NEEDED_TABLES if not present_fields(conn, table)]
    as_of = run_context(conn).as_of_date
    asked = conn.sql(_LINES).pl()
    found = promise_dates(asked, conn.sql(_POSITION).pl(), conn.sql(_INBOUND).pl(), _lead_days(conn), as_of=as_of)
    told = found.join(asked.select("order_line_id", "order_id", "promised_ship_date"), on="order_line_id", maintain_order="left")
    lines = told.with_columns(late_days=(pl.col("promised_date") - pl.col("promised_ship_date")).dt.total_days().clip(0))
    order = lines.sort(-pl.col("late_days"), "promised_date", "order_id", "order_line_id", nulls_last=True)
    return Promises(order, as_of, f"needs {', '.join(missing)}" if missing else None)


def _lead_days(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    terms = preferred_suppliers(read_terms(conn)).select("supplier_id", "sku", "lead_time_days")
    receipts = conn.sql("SELECT supplier_id, sku, received_date, lead_time_days FROM marts.fct_supplier_lead_times").pl()
    days = [(sku, one.quantile(SURE)) for (_, sku), one in lead_times(terms, receipts).items()]
    return pl.DataFrame(days, schema={"sku": pl.String, "lead_time_days": pl.Int64}, orient="row")
