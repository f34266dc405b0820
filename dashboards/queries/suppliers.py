"""Reads of the page about suppliers and cash: promise against what came, one supplier, rebates, and what customers owe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.queries import metrics
from dashboards.queries.names import member_names
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, read_frame, reading
from dashboards.queries.reports import report
from pipelines.stores.metrics import catalogue_from_json, evaluate
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS

if TYPE_CHECKING:
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.releases import Release

# Column of the list of suppliers, and the metric it holds.
SUPPLIER_METRICS: Final = {
    "on_time_rate": "supplier_on_time_rate", "promised_days": "lead_time_promised_p50_days", "actual_p50_days": "lead_time_actual_p50_days",
    "actual_p90_days": "lead_time_actual_p90_days", "short_line_rate": "short_delivery_rate", "short_unit_rate": "short_unit_rate",
}  # fmt: skip
TREND_METRIC: Final = "supplier_on_time_rate"
TREND_DAYS: Final = 364
MOST_LINES: Final = 200
MOST_INVOICES: Final = 200
LATENESS_BOUND: Final = 14  # days early or late; what lies beyond is in the last bar


@dataclass(frozen=True, slots=True)
class SupplierList:
    """Suppliers with what their deliveries amounted to, the least punctual first; why there are none where the source lacks it."""

    rows: pl.DataFrame
    not_available: str | None


def supplier_list(served: Served, filters: Filters) -> SupplierList:
    """supplier_id, supplier, a column per `SUPPLIER_METRICS`, the period before of the first, and n: lines promised in the period."""
    found = {column: metrics.breakdown(served, metric, "supplier", filters) for column, metric in SUPPLIER_METRICS.items()}
    first = found["on_time_rate"]
    rows = pl.DataFrame(schema={"supplier_id": pl.String, "supplier": pl.String})
    for column, table in found.items():
        own = table.rows.select(supplier_id="member", supplier="name", **{column: "value"})
        if column == "on_time_rate":
            own = own.with_columns(on_time_before_rate=table.rows["prior"], target_rate=table.rows["target"], n=table.rows["n"])
        rows = rows.join(own, on=["supplier_id", "supplier"], how="full", coalesce=True)
    rows = rows.with_columns(
        gap_p50_days=pl.col("actual_p50_days") - pl.col("promised_days"), gap_p90_days=pl.col("actual_p90_days") - pl.col("promised_days")
    )
    return SupplierList(rows.sort("on_time_rate", "supplier_id", nulls_last=True), first.not_available)


def lateness(served: Served, filters: Filters, *, supplier_id: str | None = None) -> pl.DataFrame:
    """days_late (below 0 early, at most `LATENESS_BOUND` either way), lines_count: receipts of the period against their promise."""
    as_of = served.context.as_of_date
    bound = (supplier_id, as_of - timedelta(days=filters.days - 1), as_of, LATENESS_BOUND, list(filters.location))
    return read_frame(served.release, _LATENESS, bound)


def open_late_lines(served: Served, filters: Filters, *, supplier_id: str | None = None) -> pl.DataFrame:
    """Lines that should have come and have not, the longest overdue first; at most `MOST_LINES`, `lines_count` says how many there are."""
    rows = read_frame(served.release, _OPEN_LATE, (supplier_id, served.context.as_of_date, list(filters.location), MOST_LINES))
    suppliers, titles, places = (member_names(served, name) for name in ("supplier", "sku", "location"))
    return rows.with_columns(
        supplier=pl.col("supplier_id").replace(suppliers),
        title=pl.col("sku").replace(titles),
        location=pl.col("location_id").replace(places),
    )


def on_time_by_month(served: Served, supplier_id: str) -> pl.DataFrame:
    """One supplier's punctuality through a year of months: period_from, value, n, target, is_complete."""
    return _on_time_by_month(served.release, supplier_id, as_of=served.context.as_of_date)


def rebates(served: Served) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rebate agreements by name, those that run first and the nearest next tier foremost; and what the source lacks for them.

    `next_tier_share_rate` is how much of the way from nothing to the next tier is done.
    """
    found = report(served, "supplier_rebates")
    if found.missing or found.rows.is_empty():
        return found.rows, found.missing
    volume, missing = (pl.col(name).cast(pl.Float64) for name in ("volume_reporting_amount", "next_tier_distance_reporting_amount"))
    rows = found.rows.with_columns(
        supplier=pl.col("supplier_id").replace(member_names(served, "supplier")), next_tier_share_rate=volume / (volume + missing)
    )
    return rows.sort("is_running", "next_tier_share_rate", descending=[True, True], nulls_last=True), ()


def supplier_stock(served: Served, supplier_id: str) -> pl.DataFrame:
    """What the supplier says it holds: sku, title, available_qty, stock_date; nobody counts it as owned."""
    rows = read_frame(served.release, _SUPPLIER_STOCK, (supplier_id, MOST_LINES))
    return rows.with_columns(title=pl.col("sku").replace(member_names(served, "sku")))


def overdue_invoices(served: Served, filters: Filters) -> pl.DataFrame:
    """The largest amounts past due: invoice, order, channel, due date, days past due, amount; at most `MOST_INVOICES`.

    `invoices_count` and `overdue_total_amount` say of how many, and how much, all of them are; `unvalued_invoices_count` have no
    exchange rate. Amounts in the reporting currency.
    """
    exponent = MINOR_UNIT_EXPONENTS.get(served.context.currency_code, 2)
    bound = (
        served.context.as_of_date,
        list(filters.channel),
        list(filters.location),
        list(filters.currency),
        10.0**exponent,
        MOST_INVOICES,
    )
    rows = read_frame(served.release, _OVERDUE, bound)
    return rows.with_columns(currency_code=pl.lit(served.context.currency_code))


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Measuring", hash_funcs=BY_RELEASE)
def _on_time_by_month(release: Release, supplier_id: str, *, as_of: date) -> pl.DataFrame:
    since = (as_of - timedelta(days=TREND_DAYS)).replace(day=1)
    with reading(release) as conn:
        row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
        values = evaluate(
            conn, catalogue_from_json(row[0] if row else "{}"), [TREND_METRIC], since=since, until=as_of, grain="month",
            where={"supplier": (supplier_id,)},
        )  # fmt: skip
    known = [one for one in values if one.status != "not_available"]
    rows = [(one.period_from, _real(one.value), one.n, _real(one.target), one.is_complete) for one in known]
    return pl.DataFrame(rows, schema=_TREND, orient="row")


def _real(amount: Any) -> float | None:
    return None if amount is None else float(amount)


_TREND: Final[dict[str, Any]] = {
    "period_from": pl.Date, "value": pl.Float64, "n": pl.Int64, "target": pl.Float64, "is_complete": pl.Boolean,
}  # fmt: skip

_LATENESS: Final = """
    select greatest(least(lead_time_days - promised_days, ?4), -?4)::integer as days_late, count(*) as lines_count
    from marts.fct_purchase_receipts
    where (?1 is null or supplier_id = ?1) and received_date between ?2 and ?3 and not is_cancelled
        and lead_time_days is not null and promised_days is not null and (len(?5) = 0 or list_contains(?5, location_id))
    group by all
    order by all
"""

_OPEN_LATE: Final = """
    select supplier_id, po_line_id, sku, location_id, expected_date, ?2 - expected_date as overdue_days,
        greatest(ordered_qty - received_qty, 0) as open_qty, promise_basis, count(*) over () as lines_count
    from marts.fct_purchase_receipts
    where is_open and not is_cancelled and expected_date < ?2 and (?1 is null or supplier_id = ?1)
        and (len(?3) = 0 or list_contains(?3, location_id))
    order by overdue_days desc, po_line_id
    limit ?4
"""

_SUPPLIER_STOCK: Final = """
    select sku, available_qty, stock_date from marts.fct_supplier_stock where supplier_id = ?1 order by available_qty desc, sku limit ?2
"""

_OVERDUE: Final = """
    select invoice_id, order_id, channel_id, issued_date, due_date, ?1 - due_date as overdue_days,
        outstanding_reporting_amount / ?5 as overdue_reporting_amount, count(*) over () as invoices_count,
        sum(outstanding_reporting_amount) over () / ?5 as overdue_total_amount,
        count(*) filter (where outstanding_reporting_amount is null) over () as unvalued_invoices_count
    from marts.fct_invoices
    where is_overdue and (len(?2) = 0 or list_contains(?2, channel_id)) and (len(?3) = 0 or list_contains(?3, location_id))
        and (len(?4) = 0 or list_contains(?4, currency_code))
    order by outstanding_reporting_amount desc nulls last, invoice_id
    limit ?6
"""
