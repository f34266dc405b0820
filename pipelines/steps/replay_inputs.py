"""What a replay on the merchant's own history needs of each item, in the merchant's own figures, and which items lack it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

import forecasting
from forecasting.panel import select_series
from forecasting.schema import SERIES_KEY
from inventory.eligibility import preferred_suppliers
from inventory.lead_time import lead_times
from pipelines.errors import ContractError
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from inventory.schema import LeadTime

WEEK_DAYS: Final = 7
_DAYS_OF_YEAR: Final = 365
_LEADS: Final = 20  # as many lead times stand for a distribution


@dataclass(frozen=True, slots=True)
class ReplayInputs:
    """A history in weeks, with costs in minor units of one currency.

    Attributes:
        panel: sku, location_id, demand_date (Monday), demand_qty, is_censored, of all items that can be replayed.
        items: sku, location_id, unit_cost, holding_cost (per unit left at the end of a week), shortage_cost (per unit not met),
            lead_periods (equally likely whole weeks), pack_qty, min_order_qty, max_order_qty.
        left_out: sku, location_id, reason.
        currency_code: The reporting currency.
    """

    panel: pl.DataFrame
    items: pl.DataFrame
    left_out: pl.DataFrame
    currency_code: str


def read_replay_inputs(
    conn: duckdb.DuckDBPyConnection,
    *,
    holding_cost_rate: float,
    lost_sales_share: float = 1.0,
    sku: str | None = None,
    category: str | None = None,
    location_id: str | None = None,
) -> ReplayInputs:
    """Demand in weeks and costs of every item that can be replayed; the others with what they need.

    Holding costs rate x unit cost x 7 / 365 a week, a unit missed its margin times the share that is lost. Lead times are those of
    receipts and promises in whole weeks, rounded up. Items that are no longer sold are not replayed.

    Args:
        conn: A release or the warehouse.
        holding_cost_rate: A year's, where the location names none.
        lost_sales_share: Of the units missed, what is lost; the rest is bought later.
        sku: This item only.
        category: Items of this category only.
        location_id: This location only.

    Raises:
        ContractError: Nothing sold has this item, category or location.
    """
    context = run_context(conn)
    demand, stock_outs, items = _read_sales(conn, sku=sku, category=category, location_id=location_id)
    selection = select_series(demand, cutoff=context.as_of_date, stock_outs=stock_outs, items=items)
    terms = _terms(conn, selection.forecastable, holding_cost_rate, lost_sales_share, context.currency_code)
    usable = terms.filter(pl.col("reason").is_null()).drop("reason")
    chosen = demand.join(usable, on=SERIES_KEY, how="semi")
    panel = forecasting.build_panel(chosen, cutoff=context.as_of_date, frequency="weekly", stock_outs=stock_outs, items=items)
    panel = panel.with_columns(pl.col("demand_qty").round())  # weeks that were raised for days without stock are whole units again
    no_week = usable.join(panel, on=SERIES_KEY, how="anti").select(*SERIES_KEY, pl.lit("No whole week of history.").alias("reason"))
    lacking = terms.filter(pl.col("reason").is_not_null()).select(*SERIES_KEY, "reason")
    return ReplayInputs(
        panel=panel,
        items=usable.join(panel, on=SERIES_KEY, how="semi"),
        left_out=pl.concat([lacking, no_week, selection.skipped.select(*SERIES_KEY, "reason")]).sort(SERIES_KEY),
        currency_code=context.currency_code,
    )


def _read_sales(
    conn: duckdb.DuckDBPyConnection, *, sku: str | None, category: str | None, location_id: str | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    chosen = {"sku": sku, "category": category, "location_id": location_id}
    demand = conn.execute(
        "SELECT d.sku, d.location_id, d.demand_date, d.demand_qty FROM marts.fct_demand_daily d LEFT JOIN marts.dim_products p USING (sku) "
        "WHERE ($sku IS NULL OR d.sku = $sku) AND ($category IS NULL OR p.category = $category) "
        "AND ($location_id IS NULL OR d.location_id = $location_id)",
        chosen,
    ).pl()
    if demand.is_empty():
        wanted = ", ".join(f"{name} {value!r}" for name, value in chosen.items() if value is not None) or "this merchant"
        raise ContractError(f"Nothing was ever sold of {wanted}: there is nothing to replay.")
    stock_outs = conn.sql("SELECT sku, location_id, stock_date FROM marts.fct_stock_daily WHERE available_qty <= 0").pl()
    items = conn.sql("SELECT sku, category, launched_date, is_active FROM marts.dim_products").pl()
    return demand, stock_outs, items


def _terms(
    conn: duckdb.DuckDBPyConnection, series: pl.DataFrame, holding_cost_rate: float, lost_sales_share: float, currency_code: str
) -> pl.DataFrame:
    """The items' columns of `ReplayInputs` and reason: what is needed, null where all is there."""
    products = conn.sql("SELECT sku, list_price_amount, currency_code AS price_currency FROM marts.dim_products").pl()
    rates = conn.sql("SELECT location_id, holding_cost_rate FROM marts.dim_locations").pl()
    suppliers = preferred_suppliers(conn.sql("SELECT * FROM marts.dim_supplier_items").pl())
    receipts = conn.sql("SELECT supplier_id, sku, received_date, lead_time_days FROM marts.fct_supplier_lead_times").pl()
    known = series.join(products, on="sku", how="left").join(rates, on="location_id", how="left").join(suppliers, on="sku", how="left")
    weeks = _lead_weeks(lead_times(suppliers.select("supplier_id", "sku", "lead_time_days"), receipts))
    cost, margin = pl.col("unit_cost_amount"), pl.col("list_price_amount") - pl.col("unit_cost_amount")
    needs = {
        "a supplier": pl.col("supplier_id").is_null(),
        "the supplier's price": cost.is_null(),
        "the supplier's lead time": pl.col("lead_time_days").is_null() | (pl.col("lead_time_days") < 0),
        "a pack size above zero": pl.col("order_multiple") < 1,
        "a list price": pl.col("list_price_amount").is_null(),
        f"prices in {currency_code}": (pl.col("currency_code") != currency_code) | (pl.col("price_currency") != currency_code),
        "a list price above the supplier's price": margin <= 0,
    }
    reason = pl.coalesce(*(pl.when(lacks).then(pl.lit(f"not available: needs {what}.")) for what, lacks in needs.items()))
    rate = pl.col("holding_cost_rate").fill_null(holding_cost_rate)
    return (
        known.join(weeks, on=["supplier_id", "sku"], how="left")
        .select(
            *SERIES_KEY,
            cost.cast(pl.Float64).alias("unit_cost"),
            (rate * cost * WEEK_DAYS / _DAYS_OF_YEAR).alias("holding_cost"),
            (margin * lost_sales_share).cast(pl.Float64).alias("shortage_cost"),
            "lead_periods",
            pl.col("order_multiple").fill_null(1).cast(pl.Int64).alias("pack_qty"),
            pl.col("min_order_qty").fill_null(0).cast(pl.Int64),
            "max_order_qty",
            reason.alias("reason"),
        )
        .sort(SERIES_KEY)
    )


def _lead_weeks(delays: Mapping[tuple[str, str], LeadTime]) -> pl.DataFrame:
    """supplier_id, sku, lead_periods: whole weeks that pass before a delivery can be sold, as likely as each other."""
    levels = [(number + 0.5) / _LEADS for number in range(_LEADS)]
    rows = [(*key, [-(-delay.quantile(level) // WEEK_DAYS) for level in levels]) for key, delay in delays.items()]
    return pl.DataFrame(rows, schema={"supplier_id": pl.String, "sku": pl.String, "lead_periods": pl.List(pl.Int64)}, orient="row")
