"""Stock, terms and what is on its way, as decisions about orders need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.eligibility import preferred_suppliers
from inventory.schema import Inbound

if TYPE_CHECKING:
    import duckdb

    from pipelines.steps.panel import DemandHistory
    from pipelines.steps.recommend_policies import Item


def present_fields(conn: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    """Fields of a source table that the merchant has."""
    rows = conn.execute("SELECT field_name FROM meta.source_fields WHERE table_name = ? AND is_present", [table]).fetchall()
    return frozenset(name for (name,) in rows)


def read_items(conn: duckdb.DuckDBPyConnection, history: DemandHistory, terms: pl.DataFrame) -> pl.DataFrame:
    """One row per item and place that has stock or sells, with its supplier's terms and why it has no forecast."""
    positions = conn.sql(
        "SELECT sku, location_id, on_hand_qty, committed_qty, reserved_qty, damaged_qty, backorder_qty, stock_version "
        "FROM marts.fct_inventory_position ORDER BY ALL"
    ).pl()
    products = conn.sql(
        "SELECT sku, is_active, list_price_amount, currency_code AS list_price_currency_code, shelf_life_days "
        "FROM marts.dim_products ORDER BY ALL"
    ).pl()
    locations = conn.sql(
        "SELECT location_id, is_active AS is_location_active, holding_cost_rate FROM marts.dim_locations ORDER BY ALL"
    ).pl()
    selection = history.selection
    known = pl.concat(
        [
            selection.forecastable.with_columns(pl.lit(None, dtype=pl.String).alias("reason")),
            selection.skipped.select(*SERIES_KEY, "reason"),
        ]
    ).rename({"reason": "forecast_reason"})
    universe = pl.concat([positions.select(SERIES_KEY), selection.forecastable]).unique(maintain_order=True)
    never_sold = universe.join(known, on=SERIES_KEY, how="anti").with_columns(pl.lit("Never sold here.").alias("forecast_reason"))
    broken = conn.sql("SELECT sku, location_id, reason AS broken_reason FROM planning.forecast_broken ORDER BY ALL").pl()
    in_stock = history.panel.filter(~pl.col("is_censored")).select(SERIES_KEY).unique()
    return (
        universe.join(pl.concat([known, never_sold]), on=SERIES_KEY, how="left")
        .join(in_stock.with_columns(pl.lit(True).alias("was_in_stock")), on=SERIES_KEY, how="left")
        .with_columns(
            pl.when(pl.col("forecast_reason").is_null() & pl.col("was_in_stock").is_null())
            .then(pl.lit("Never in stock at the end of a day."))
            .otherwise(pl.col("forecast_reason"))
            .alias("forecast_reason")
        )
        .join(broken, on=SERIES_KEY, how="left")
        .with_columns(pl.coalesce("forecast_reason", "broken_reason").alias("forecast_reason"))
        .join(positions, on=SERIES_KEY, how="left")
        .join(products, on="sku", how="left")
        .join(locations, on="location_id", how="left")
        .join(preferred_suppliers(terms), on="sku", how="left")
        .with_columns(pl.col("is_active", "is_location_active").fill_null(True))
    )


def read_inbound(conn: duckdb.DuckDBPyConnection) -> dict[Item, tuple[Inbound, ...]]:
    """What is on its way to each item and place; lines of submitted purchase orders with their ids."""
    rows = conn.execute(
        "SELECT sku, location_id, expected_date, open_qty, "
        "CASE WHEN po_id IS NOT NULL AND order_status <> 'draft' THEN [reference_id, po_id, supplier_id] END AS line "
        "FROM marts.fct_inbound WHERE open_qty > 0 ORDER BY sku, location_id, expected_date, reference_id"
    ).fetchall()
    inbound: dict[Item, tuple[Inbound, ...]] = {}
    for sku, location_id, expected_date, open_qty, line in rows:
        inbound[sku, location_id] = (*inbound.get((sku, location_id), ()), Inbound(expected_date, int(open_qty), *(line or ())))
    return inbound


def read_transfer_days(conn: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Days until a transfer has arrived at each location; those that do not say are left out."""
    rows = conn.execute(
        "SELECT location_id, transfer_lead_time_days FROM marts.dim_locations WHERE transfer_lead_time_days >= 0 ORDER BY ALL"
    ).fetchall()
    return {str(location): int(days) for location, days in rows}


def transfers_need(conn: duckdb.DuckDBPyConnection) -> str | None:
    """What the source lacks for transfers; None where nothing is lacking, or where there are no two places to move stock between."""
    places = conn.sql("SELECT count(*) FILTER (is_active) FROM marts.dim_locations").fetchall()[0][0]
    return None if places < 2 or read_transfer_days(conn) else "needs transfer_lead_time_days"


def read_terms(conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What each supplier asks for each item, in force today."""
    return conn.sql(
        "SELECT supplier_id, sku, lead_time_days, unit_cost_amount, currency_code, min_order_qty, order_multiple, max_order_qty, "
        "priority, review_period_days, order_minimum_amount FROM marts.dim_supplier_items ORDER BY ALL"
    ).pl()
