"""Forecast and recommend on a warehouse whose marts are made by hand."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.recommend import recommend
from pipelines.stores.warehouse import open_warehouse, replace_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

AS_OF = date(2025, 6, 30)
FIRST = date(2024, 7, 1)
DAYS = (AS_OF - FIRST).days + 1
SKUS = ("busy", "calm", "idle", "gone", "orphan", "twins", "zero-pack", "unlisted")
SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb") as connection:
        _fill(connection)
        yield connection


def _fill(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute(
        "INSERT INTO meta.run_context VALUES ('20250701T000000-abcdef', ?, 'Europe/Berlin', 'EUR', 'Corner shop', 'mapping:test')", [AS_OF]
    )
    for table, field in (("stock_levels", "on_hand"), ("supplier_items", "unit_cost"), ("supplier_items", "order_multiple")):
        conn.execute("INSERT INTO meta.source_fields VALUES (?, ?, true)", [table, field])
    generator = np.random.default_rng(11)
    days = [FIRST + timedelta(days=day) for day in range(DAYS)]
    demand = pl.concat(
        pl.DataFrame({"sku": sku, "location_id": "main", "demand_date": days, "demand_qty": generator.poisson(rate, DAYS)})
        for sku, rate in (
            ("busy", 9.4),
            ("calm", 2.0),
            ("gone", 3.0),
            ("orphan", 2.0),
            ("twins", 2.0),
            ("zero-pack", 2.0),
            ("unlisted", 2.0),
        )
    ).filter(pl.col("demand_qty") > 0)
    frames = {
        "fct_demand_daily": demand,
        "fct_stock_daily": pl.DataFrame(
            {"sku": ["busy"] * 3, "location_id": ["main"] * 3, "stock_date": days[-3:], "available_qty": [5, 0, 12]}
        ),
        "dim_products": pl.DataFrame(
            {
                "sku": SKUS, "category": "all", "launched_date": [FIRST] * 8, "is_active": [sku != "gone" for sku in SKUS],
                "list_price_amount": 1999, "currency_code": "EUR",
            }
        ),
        "dim_locations": pl.DataFrame({"location_id": ["main"], "is_active": [True], "holding_cost_rate": [None]}, schema_overrides={"holding_cost_rate": pl.Float64}),
        "dim_supplier_items": _terms(),
        "fct_inventory_position": pl.DataFrame(
            {
                "sku": SKUS[:-1], "location_id": "main", "on_hand_qty": [30, 500, 4, 1, 1, 1, 1], "committed_qty": [2, 0, 0, 0, 0, 0, 0],
                "reserved_qty": 0, "damaged_qty": 0, "backorder_qty": [3, 0, 0, 0, 0, 0, None], "stock_version": 7,
            }
        ),
        "fct_inbound": pl.DataFrame(
            {"reference_id": ["po-1"], "sku": ["busy"], "location_id": ["main"], "expected_date": [AS_OF + timedelta(days=10)], "open_qty": [24]}
        ),
        "fct_supplier_lead_times": pl.DataFrame(
            {"supplier_id": "s1", "sku": "busy", "received_date": [AS_OF - timedelta(days=back) for back in range(30, 60)], "lead_time_days": [11, 12, 13] * 10}
        ),
    }  # fmt: skip
    for name, frame in frames.items():
        replace_table(conn, "marts", name, frame)


def _terms() -> pl.DataFrame:
    rows = [
        ("s1", "busy", 6, 1), ("s2", "busy", 6, 2), ("s1", "calm", 1, 1), ("s1", "idle", 1, 1), ("s1", "gone", 1, 1),
        ("s1", "twins", 1, 1), ("s2", "twins", 1, 1), ("s1", "zero-pack", 0, 1), ("s1", "unlisted", 1, 1),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=["supplier_id", "sku", "order_multiple", "priority"], orient="row").with_columns(
        pl.lit(10, dtype=pl.Int64).alias("lead_time_days"), pl.lit(1050, dtype=pl.Int64).alias("unit_cost_amount"),
        pl.lit("EUR").alias("currency_code"), pl.lit(0, dtype=pl.Int64).alias("min_order_qty"),
        pl.lit(None, dtype=pl.Int64).alias("max_order_qty"), pl.lit(None, dtype=pl.Int64).alias("review_period_days"),
    )  # fmt: skip


def _table(conn: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    return conn.sql(f"SELECT * FROM planning.{name}").pl()


def test_every_forecastable_series_has_a_forecast_and_its_evidence(conn: duckdb.DuckDBPyConnection) -> None:
    summary = forecast_demand(conn, settings=SETTINGS)

    daily, scores = _table(conn, "forecast_daily"), _table(conn, "backtest_scores")
    assert summary.series_count == 6
    assert summary.skipped_counts == {"item inactive": 1}
    assert daily.group_by("sku").len()["len"].to_list() == [28] * 6
    assert daily["demand_date"].min() == AS_OF + timedelta(days=1)
    assert daily["demand_mean_qty"].null_count() == 0
    assert scores.filter(pl.col("sku").is_null())["wape_rate"].to_list() == [summary.wape_rate]
    assert summary.wape_rate is not None
    assert summary.naive_wape_rate is not None
    assert summary.wape_rate < summary.naive_wape_rate
    assert scores.filter(pl.col("sku") == "busy")["censored_days_count"].to_list() == [1]
    assert _table(conn, "forecast_exclusions").rows() == [("gone", "main", "Item is inactive or discontinued.")]


def test_the_item_that_runs_out_is_recommended_with_steps_that_add_up(conn: duckdb.DuckDBPyConnection) -> None:
    forecast_demand(conn, settings=SETTINGS)

    summary = recommend(conn, settings=SETTINGS)

    row = _table(conn, "recommendations").row(0, named=True)
    steps = _table(conn, "recommendation_steps").filter(pl.col("recommendation_key") == row["recommendation_key"])["qty"].to_list()
    assert summary.recommended_count == 1
    assert summary.enough_stock_count == 1
    assert (row["sku"], row["supplier_id"], row["currency_code"]) == ("busy", "s1", "EUR")
    assert str(row["unit_cost"]) == "10.5000"
    assert row["recommended_qty"] % 6 == 0
    assert 0 <= row["recommended_qty"] - row["raw_qty"] < 6
    assert sum(steps[:6]) == pytest.approx(row["raw_qty"])
    assert steps[5] == 3
    assert steps[6:] == [row["raw_qty"], row["recommended_qty"]]
    assert row["reason"] == "Runs out in about 2 days; 24 units are due on 10 Jul, a new order takes 12 days and 9.4 a day are wanted."
    assert row["need_by"] == AS_OF + timedelta(days=2)
    assert row["order_by"] == AS_OF
    assert row["expected_receipt"] == AS_OF + timedelta(days=12)
    assert row["p_stockout_if_ignored"] == pytest.approx(1.0)
    assert row["basis_version"] == 7
    basis = json.loads(row["basis"])
    assert (basis["inbound_qty"], basis["backorder_qty"]) == (24, 3)


def test_items_that_cannot_be_ordered_are_listed_with_their_reason(conn: duckdb.DuckDBPyConnection) -> None:
    recommend(conn, settings=SETTINGS)

    assert dict(_table(conn, "recommendation_exclusions").select("sku", "reason").rows()) == {
        "gone": "Item is inactive or discontinued.",
        "idle": "No forecast: Never sold here.",
        "orphan": "No supplier sells this item.",
        "twins": "2 suppliers share the first priority; give one of them a lower number.",
        "unlisted": "No stock level for this item at this location.",
        "zero-pack": "A pack size of 0 cannot be ordered.",
    }


def test_a_second_run_writes_the_same_rows(conn: duckdb.DuckDBPyConnection) -> None:
    tables = ("forecast_daily", "backtest_scores", "recommendations", "recommendation_steps", "recommendation_exclusions")
    forecast_demand(conn, settings=SETTINGS)
    recommend(conn, settings=SETTINGS)
    first = [_table(conn, name) for name in tables]

    forecast_demand(conn, settings=SETTINGS)
    recommend(conn, settings=SETTINGS)

    assert all(_table(conn, name).equals(before) for name, before in zip(tables, first, strict=True))


def test_without_stock_or_suppliers_it_says_what_is_missing(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("UPDATE meta.source_fields SET is_present = false")

    summary = recommend(conn, settings=SETTINGS)

    assert summary.not_available == "needs stock_levels, supplier_items"
    assert _table(conn, "recommendations").is_empty()
    assert "recommended_qty" in _table(conn, "recommendations").columns


def test_a_merchant_without_enough_history_gets_empty_tables_and_counts(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("DELETE FROM marts.fct_demand_daily WHERE demand_date < ?", [AS_OF - timedelta(days=9)])
    conn.execute("UPDATE marts.dim_products SET launched_date = NULL")

    summary = forecast_demand(conn, settings=SETTINGS)

    assert summary.series_count == 0
    assert summary.wape_rate is None
    assert summary.skipped_counts == {"history too short": 6, "item inactive": 1}
    assert _table(conn, "forecast_daily").is_empty()
    assert _table(conn, "backtest_scores").is_empty()
