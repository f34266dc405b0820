"""Forecast and recommend on a warehouse whose marts are made by hand."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.forecast import ForecastSummary, forecast_demand
from pipelines.steps.panel import gather_panel
from pipelines.steps.recommend import recommend
from pipelines.steps.recommend_allocations import share_shortages
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
        fill_marts(connection)
        yield connection


def fill_marts(conn: duckdb.DuckDBPyConnection) -> None:
    """A year of eight items at one location, of which six can be forecast and one has to be ordered."""
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
        "fct_promotion_days": pl.DataFrame(
            schema={"sku": pl.String, "promotion_date": pl.Date, "promotions_count": pl.Int64}
        ),
        "dim_products": pl.DataFrame(
            {
                "sku": SKUS, "category": "all", "launched_date": [FIRST] * 8, "is_active": [sku != "gone" for sku in SKUS],
                "list_price_amount": 1999, "currency_code": "EUR", "shelf_life_days": None,
                "status": "active", "discontinued_date": [AS_OF if sku == "gone" else None for sku in SKUS],
            },
            schema_overrides={"shelf_life_days": pl.Int64},
        ),
        "dim_locations": pl.DataFrame({"location_id": ["main"], "is_active": [True], "holding_cost_rate": [None], "transfer_lead_time_days": [None]}, schema_overrides={"holding_cost_rate": pl.Float64, "transfer_lead_time_days": pl.Int64}),
        "dim_supplier_items": _terms(),
        "fct_inventory_position": pl.DataFrame(
            {
                "sku": SKUS[:-1], "location_id": "main", "on_hand_qty": [30, 500, 4, 1, 1, 1, 1], "committed_qty": [2, 0, 0, 0, 0, 0, 0],
                "reserved_qty": 0, "damaged_qty": 0, "backorder_qty": [3, 0, 0, 0, 0, 0, None], "stock_version": 7,
            }
        ),
        "fct_inbound": pl.DataFrame(
            {"reference_id": ["po-1-1"], "po_id": ["po-1"], "supplier_id": ["s1"], "order_status": ["sent"], "sku": ["busy"], "location_id": ["main"], "expected_date": [AS_OF + timedelta(days=10)], "open_qty": [24]}
        ),
        "fct_open_order_lines": pl.DataFrame(
            schema={"order_line_id": pl.String, "order_id": pl.String, "sku": pl.String, "location_id": pl.String, "channel_id": pl.String,
                    "channel_priority": pl.Int64, "ordered_date": pl.Date, "promised_ship_date": pl.Date, "open_qty": pl.Int64}
        ),
        "fct_order_lines": pl.DataFrame(
            schema={"order_line_id": pl.String, "ordered_qty": pl.Int64, "net_amount": pl.Int64, "currency_code": pl.String}
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
        pl.lit(None, dtype=pl.Int64).alias("order_minimum_amount"),
    )  # fmt: skip


def _forecast(conn: duckdb.DuckDBPyConnection) -> ForecastSummary:
    gather_panel(conn)
    backtest_forecasts(conn)
    return forecast_demand(conn, settings=SETTINGS)


def _table(conn: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    return conn.sql(f"SELECT * FROM planning.{name}").pl()


def _reckoning(conn: duckdb.DuckDBPyConnection, key: str) -> dict[str, float]:
    """The steps that have a quantity."""
    found = conn.execute(
        "SELECT step, qty FROM planning.recommendation_steps WHERE recommendation_key = ? AND qty IS NOT NULL ORDER BY step_number", [key]
    ).fetchall()
    return dict(found)


def test_every_forecastable_series_has_a_forecast_and_its_evidence(conn: duckdb.DuckDBPyConnection) -> None:
    gather_panel(conn)
    tested = backtest_forecasts(conn)
    summary = forecast_demand(conn, settings=SETTINGS)

    daily, scores = _table(conn, "forecast_daily"), _table(conn, "backtest_scores")
    assert summary.series_count == 6
    assert summary.skipped_counts == {"item inactive": 1}
    assert daily.group_by("sku").len()["len"].to_list() == [28] * 6
    assert daily["demand_date"].min() == AS_OF + timedelta(days=1)
    assert daily["demand_mean_qty"].null_count() == 0
    assert scores.filter(pl.col("sku").is_null())["wape_rate"].to_list() == [tested.wape_rate]
    assert tested.wape_rate is not None
    assert tested.naive_wape_rate is not None
    assert tested.wape_rate < tested.naive_wape_rate
    assert scores["backtest_date"].to_list() == [AS_OF] * 7
    assert scores.filter(pl.col("sku") == "busy")["censored_days_count"].to_list() == [1]
    left_out = _table(conn, "demand_series").filter(pl.col("reason").is_not_null())
    assert left_out.select("sku", "location_id", "reason").rows() == [("gone", "main", "Item is inactive or discontinued.")]


def test_the_item_that_runs_out_is_recommended_with_steps_that_add_up(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)

    summary = recommend(conn, settings=SETTINGS)

    row = _table(conn, "recommendations").row(0, named=True)
    steps = _reckoning(conn, row["recommendation_key"])
    assert summary.recommended_count == 1
    assert summary.enough_stock_count == 1
    assert (row["sku"], row["supplier_id"], row["currency_code"]) == ("busy", "s1", "EUR")
    assert str(row["unit_cost"]) == "10.5000"
    assert row["recommended_qty"] % 6 == 0
    assert 0 <= row["recommended_qty"] - row["raw_qty"] < 6
    assert sum(list(steps.values())[:-2]) == pytest.approx(row["raw_qty"])
    assert (steps["Backorders"], steps["On hand"]) == (3, -30)
    assert steps["Lost before an order can arrive, p50"] < 0
    assert list(steps.items())[-2:] == [("Raw quantity", row["raw_qty"]), ("Recommended quantity", row["recommended_qty"])]
    assert row["reason"] == "Runs out in about 2 days; 24 units are due on 10 Jul, a new order takes 12 days and 9.4 a day are wanted."
    assert row["need_by"] == AS_OF + timedelta(days=2)
    assert row["order_by"] == AS_OF
    assert row["expected_receipt"] == AS_OF + timedelta(days=12)
    assert row["p_stockout_if_ignored"] == pytest.approx(1.0)
    assert row["basis_version"] == 7
    basis = json.loads(row["basis"])
    assert (basis["inbound_qty"], basis["backorder_qty"]) == (24, 3)


def test_items_that_cannot_be_ordered_are_listed_with_their_reason(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)

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
    tables = (
        "demand_series",
        "backtest_weeks",
        "forecast_daily",
        "forecast_checks",
        "backtest_scores",
        "recommendations",
        "recommendation_steps",
        "recommendation_exclusions",
        "silent_items",
        "stock_outlook",
        "order_choices",
    )
    _forecast(conn)
    recommend(conn, settings=SETTINGS)
    first = [_table(conn, name) for name in tables]

    _forecast(conn)
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

    summary = _forecast(conn)

    assert summary.series_count == 0
    assert summary.withheld_reason is None
    assert backtest_forecasts(conn).wape_rate is None
    assert summary.skipped_counts == {"history too short": 6, "item inactive": 1}
    assert _table(conn, "forecast_daily").is_empty()
    assert _table(conn, "backtest_scores").is_empty()


def _launch(conn: duckdb.DuckDBPyConnection, names: list[str], *, rate: float, days: int) -> None:
    """Items that came `days` ago, 30 in stock, from a supplier who needs ten days."""
    generator, since = np.random.default_rng(days), AS_OF - timedelta(days=days - 1)
    for sku in names:
        sold = pl.DataFrame(
            {"demand_date": [since + timedelta(days=day) for day in range(days)], "demand_qty": generator.poisson(rate, days)}
        )
        conn.register("sold", sold.filter(pl.col("demand_qty") > 0).to_arrow())
        conn.execute("INSERT INTO marts.fct_demand_daily SELECT ?, 'main', demand_date, demand_qty FROM sold", [sku])
        conn.execute("INSERT INTO marts.dim_products VALUES (?, 'all', ?, true, 1999, 'EUR', NULL, 'active', NULL)", [sku, since])
        conn.execute("INSERT INTO marts.fct_inventory_position VALUES (?, 'main', 30, 0, 0, 0, 0, 7)", [sku])
        conn.execute(
            "INSERT INTO marts.dim_supplier_items SELECT * REPLACE (? AS sku) FROM marts.dim_supplier_items WHERE sku = 'calm'", [sku]
        )


def test_a_young_item_starts_where_like_items_stood_and_is_ordered_by_that(conn: duckdb.DuckDBPyConnection) -> None:
    _launch(conn, [f"grown {number}" for number in range(8)], rate=8.0, days=120)
    _launch(conn, ["young"], rate=1.0, days=6)

    gathered = gather_panel(conn)
    backtest_forecasts(conn)
    forecast_demand(conn, settings=SETTINGS)
    recommend(conn, settings=SETTINGS)

    own = _table(conn, "forecast_daily").filter(pl.col("sku") == "young")
    proposed = _table(conn, "recommendations").filter(pl.col("sku") == "young")
    assert "history too short" not in gathered.skipped_counts
    assert own["model"].unique().to_list() == ["like_items"]
    assert own["fallback_reason"].str.contains("only 6 days in stock, 14 are needed: .* what 8 items of category 'all' sold").all()
    mean = own["demand_mean_qty"].sum() / own.height
    assert mean > 4.0
    assert json.loads(proposed["basis"].item())["demand_p50_qty"] == pytest.approx(19 * mean, rel=0.1)


def test_a_forecast_of_mostly_young_items_withholds_all_suggestions(conn: duckdb.DuckDBPyConnection) -> None:
    _launch(conn, [f"grown {number}" for number in range(6)], rate=8.0, days=120)
    _launch(conn, [f"young {number}" for number in range(12)], rate=4.0, days=6)
    even = _forecast(conn)
    _launch(conn, ["young 12"], rate=4.0, days=7)

    odd = _forecast(conn)

    assert (even.series_count, even.fallback_count, even.withheld_reason) == (24, 12, None)
    assert odd.fallback_count == 13
    assert odd.withheld_reason == "52 % of forecasts are fallbacks, and at most 50 % may be."
    assert recommend(conn, settings=SETTINGS).recommended_count == 0


def test_young_items_without_a_forecast_count_as_fallbacks(conn: duckdb.DuckDBPyConnection) -> None:
    _launch(conn, [f"young {number}" for number in range(9)], rate=4.0, days=6)

    summary = _forecast(conn)

    assert summary.skipped_counts["history too short"] == 9
    assert {check.check_name: check.measured_rate for check in summary.checks}["fallback_share"] == pytest.approx(9 / 15)
    assert summary.withheld_reason is not None


def _promote(conn: duckdb.DuckDBPyConnection, sku: str) -> None:
    """Five days on promotion in every month, past and next, on which three times as much was sold."""
    conn.execute(
        "INSERT INTO marts.fct_promotion_days SELECT ?, ?::DATE + n::INTEGER, 1 FROM range(?) t(n) WHERE day(?::DATE + n::INTEGER) BETWEEN 11 AND 15",
        [sku, FIRST, DAYS + 31, FIRST],
    )
    conn.execute(
        "UPDATE marts.fct_demand_daily AS d SET demand_qty = 3 * d.demand_qty FROM marts.fct_promotion_days AS p "
        "WHERE d.sku = p.sku AND d.demand_date = p.promotion_date"
    )


def test_days_on_promotion_are_forecast_tested_and_ordered_for(conn: duckdb.DuckDBPyConnection) -> None:
    _promote(conn, "busy")
    tested = backtest_forecasts(conn)
    forecast_demand(conn, settings=SETTINGS)
    recommend(conn, settings=SETTINGS)
    ahead = _table(conn, "forecast_daily").filter(pl.col("sku") == "busy")
    proposed = _table(conn, "recommendations").filter(pl.col("sku") == "busy")
    conn.execute("DELETE FROM marts.fct_promotion_days WHERE promotion_date > ?", [AS_OF])
    _forecast(conn)
    recommend(conn, settings=SETTINGS)
    without = _table(conn, "recommendations").filter(pl.col("sku") == "busy")
    conn.execute("DELETE FROM marts.fct_promotion_days")
    conn.execute("DELETE FROM planning.backtest_run")
    unknown = backtest_forecasts(conn)

    is_on = pl.col("demand_date").dt.day().is_between(11, 15)
    on, off = (ahead.filter(rule)["demand_mean_qty"].to_list() for rule in (is_on, ~is_on))
    assert sum(on) / len(on) > 2 * sum(off) / len(off)
    assert tested.wape_rate is not None
    assert unknown.wape_rate is not None
    assert tested.wape_rate < 0.95 * unknown.wape_rate
    assert proposed["recommended_qty"].item() > without["recommended_qty"].item() + 30


def test_promotions_of_items_without_history_change_nothing(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    before = _table(conn, "forecast_daily")
    conn.execute("INSERT INTO marts.fct_promotion_days VALUES ('idle', ?, 1), ('busy', ?, 1)", [AS_OF, AS_OF + timedelta(days=9)])

    _forecast(conn)

    assert _table(conn, "forecast_daily").equals(before)


def test_a_shortage_is_shared_among_the_lines_that_wait_by_channel_and_in_proportion(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    conn.execute("UPDATE marts.fct_inventory_position SET on_hand_qty = 50 WHERE sku = 'calm'")
    conn.execute(
        "INSERT INTO marts.fct_open_order_lines SELECT line, 'o-' || line, 'calm', 'main', 'web', priority, ?, ?, qty "
        "FROM (VALUES ('l1', 1, 10), ('l2', 1, 20), ('l3', 1, 50), ('l4', 2, 9)) AS t(line, priority, qty)",
        [AS_OF, AS_OF],
    )

    recommend(conn, settings=SETTINGS)

    row = _table(conn, "recommendations").row(by_predicate=pl.col("kind") == "allocate", named=True)
    basis = json.loads(row["basis"])
    assert (row["sku"], row["location_id"], row["recommended_qty"], basis["free_qty"]) == ("calm", "main", 50, 50)
    assert [(line["order_line_id"], line["qty"]) for line in basis["lines"]] == [("l1", 6), ("l2", 13), ("l3", 31), ("l4", 0)]
    assert row["reason"] == "89 units are open on 4 order lines and 50 lie here; nothing more comes in time."
    assert _reckoning(conn, row["recommendation_key"])["Missing"] == -39
    # without the price of each line the 39 units that stay short rank by what they cost
    assert (row["cost_if_ignored_p50"], row["cost_if_accepted"], row["priority_score"]) == (None, None, 39 * 10.5)
    notes = dict(
        conn.sql("SELECT step, note FROM planning.recommendation_steps WHERE step LIKE 'If %' AND note LIKE '%stay short%'").fetchall()
    )
    assert notes["If ignored"].endswith("lost margin not available: needs the price of each order line in EUR.")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        # 1050 is the supplier's price; 39 units stay short: in turn 30 of l3 and 9 of l4, as shared 4, 7, 19 and 9
        ({}, (Decimal("370.5000"), Decimal("370.5000"))),
        ({"lost_sales_share": 0.5}, (Decimal("185.2500"), Decimal("185.2500"))),
        ({"l3": 1_050}, (Decimal("85.5000"), Decimal("190.0000"))),
        ({"l3": 900}, (Decimal("85.5000"), Decimal("190.0000"))),  # what sells below its cost loses nothing by waiting
    ],
)
def test_a_shortage_costs_the_margin_of_the_lines_that_stay_short(
    conn: duckdb.DuckDBPyConnection, columns: dict[str, Any], found: tuple[Decimal, Decimal]
) -> None:
    lines = {"l1": 10, "l2": 20, "l3": 50, "l4": 9}
    for number, (line, qty) in enumerate(lines.items()):
        conn.execute(
            "INSERT INTO marts.fct_open_order_lines VALUES (?, ?, 'calm', 'main', 'web', ?, ?, ?, ?)",
            [line, f"o-{line}", 2 if line == "l4" else 1, AS_OF + timedelta(days=number - 5), AS_OF, qty],
        )
        conn.execute("INSERT INTO marts.fct_order_lines VALUES (?, ?, ?, 'EUR')", [line, qty, qty * columns.get(line, 2_000)])
    conn.execute("UPDATE marts.fct_inventory_position SET on_hand_qty = 50 WHERE sku = 'calm'")
    settings = SETTINGS.model_copy(update={"lost_sales_share": columns.get("lost_sales_share", 1.0)})

    (suggestion,) = share_shortages(conn, {}, as_of=AS_OF, settings=settings, policies={})

    row = suggestion.row
    assert (row["cost_if_ignored_p50"], row["cost_if_accepted"]) == found
    assert (row["cost_if_ignored_p90"], row["priority_score"], row["unit_cost"]) == (found[0], float(found[0]), Decimal("10.5000"))


def test_open_lines_of_a_discontinued_item_are_to_be_called_off(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    for line, status, days in (("po-2-1", "confirmed", 20), ("po-3-1", "shipped", 20), ("po-4-1", "sent", 6), ("po-5-1", "draft", 20)):
        conn.execute(
            "INSERT INTO marts.fct_inbound VALUES (?, ?, 's1', ?, 'gone', 'main', ?, 40)",
            [line, line[:4], status, AS_OF + timedelta(days=days)],
        )

    recommend(conn, settings=SETTINGS)

    row = _table(conn, "recommendations").row(by_predicate=pl.col("sku") == "gone", named=True)
    assert (row["kind"], row["recommended_qty"], row["priority_score"]) == ("cancel_po", 40, 420.0)
    assert (json.loads(row["basis"])["po_line_id"], row["cost_if_ignored_p50"], row["cost_if_accepted"]) == ("po-2-1", None, None)
    assert row["reason"] == "The item is discontinued since 30 Jun, and po-2 brings 40 units on 20 Jul."
    (note,) = conn.execute(
        "SELECT note FROM planning.recommendation_steps WHERE recommendation_key = ? AND step = 'If ignored'", [row["recommendation_key"]]
    ).fetchone() or ("",)
    assert note.startswith("Goods for EUR 420 come. What of them would still sell: not available: needs a forecast")


def test_what_another_location_can_spare_is_moved_before_it_is_bought(conn: duckdb.DuckDBPyConnection) -> None:
    _second_location(conn)
    _forecast(conn)
    before = recommend(conn, settings=SETTINGS)
    bought = _table(conn, "recommendations").filter(sku="busy", kind="purchase")["recommended_qty"].item()
    conn.execute("UPDATE marts.dim_locations SET transfer_lead_time_days = 2")

    after = recommend(conn, settings=SETTINGS)

    assert (before.transfers_not_available, after.transfers_not_available) == ("needs transfer_lead_time_days", None)
    found = {row["kind"]: row for row in _table(conn, "recommendations").filter(sku="busy", location_id="main").iter_rows(named=True)}
    move, basis = found["transfer"], json.loads(found["transfer"]["basis"])
    assert (move["source_location_id"], move["location_id"], move["expected_receipt"]) == ("side", "main", AS_OF + timedelta(days=2))
    assert move["recommended_qty"] == basis["order_up_to_qty"] - 25 - basis["inbound_qty"]
    assert 0 < move["cost_if_accepted"] < move["cost_if_ignored_p50"]
    # the units moved sell before an order could come, so what the order has to bring is the same
    assert found["purchase"]["recommended_qty"] <= bought
    steps = _table(conn, "recommendation_steps")
    said = dict(steps.filter(recommendation_key=move["recommendation_key"]).select("step", "note").iter_rows())
    qty = move["recommended_qty"]
    assert said[f"Rejected: order {qty} now instead"].startswith("An order would come on 12 Jul, too late for the ")
    assert said[f"Rejected: order {qty} now instead"].endswith(f"and cost EUR {qty * 10.5:,.0f}.")
    notes = steps.filter(recommendation_key=found["purchase"]["recommendation_key"], step="Counted as moved")
    assert notes["note"].item() == f"{move['recommended_qty']} units from side, as proposed beside this."


def test_an_order_says_why_other_places_send_nothing(conn: duckdb.DuckDBPyConnection) -> None:
    _second_location(conn)
    conn.execute("UPDATE marts.fct_inventory_position SET on_hand_qty = 0 WHERE location_id = 'side'")
    _forecast(conn)
    conn.execute("UPDATE marts.dim_locations SET transfer_lead_time_days = 2")

    recommend(conn, settings=SETTINGS)

    steps = _table(conn, "recommendation_steps").filter(step="Rejected: move from elsewhere")
    main = _table(conn, "recommendations").filter(sku="busy", location_id="main", kind="purchase")["recommendation_key"].item()
    assert steps.filter(recommendation_key=main)["note"].item() == "side: short as well."


def test_the_sender_of_a_transfer_is_planned_without_the_units_it_gives(conn: duckdb.DuckDBPyConnection) -> None:
    _second_location(conn)
    _forecast(conn)
    conn.execute("UPDATE marts.dim_locations SET transfer_lead_time_days = 2")

    recommend(conn, settings=SETTINGS)

    qty = _table(conn, "recommendations").filter(kind="transfer")["recommended_qty"].item()
    bought = _table(conn, "recommendations").row(
        by_predicate=(pl.col("kind") == "purchase") & (pl.col("location_id") == "side"), named=True
    )
    assert _reckoning(conn, bought["recommendation_key"])["Committed, reserved and damaged"] == qty
    assert json.loads(bought["basis"])["reserved_qty"] == 0  # what the store says when the order is approved


def test_a_sender_that_keeps_enough_says_how_long_the_rest_lasts(conn: duckdb.DuckDBPyConnection) -> None:
    _second_location(conn)
    _forecast(conn)
    conn.execute("UPDATE marts.fct_inventory_position SET on_hand_qty = 250 WHERE location_id = 'side'")
    recommend(conn, settings=SETTINGS)
    before = _table(conn, "silent_items").row(by_predicate=pl.col("location_id") == "side", named=True)
    conn.execute("UPDATE marts.dim_locations SET transfer_lead_time_days = 2")

    recommend(conn, settings=SETTINGS)

    after = _table(conn, "silent_items").row(by_predicate=pl.col("location_id") == "side", named=True)
    qty = _table(conn, "recommendations").filter(kind="transfer")["recommended_qty"].item()
    assert after["lasts_days"] < before["lasts_days"]
    assert after["reason"].endswith(f"That counts {qty} units to main, as proposed.")


def test_an_order_cut_to_the_budget_still_counts_what_a_transfer_brings(conn: duckdb.DuckDBPyConnection) -> None:
    _second_location(conn)
    _forecast(conn)
    conn.execute("UPDATE marts.dim_locations SET transfer_lead_time_days = 2")
    recommend(conn, settings=SETTINGS)
    at_main = (pl.col("kind") == "purchase") & (pl.col("location_id") == "main")
    whole = _table(conn, "recommendations").row(by_predicate=at_main, named=True)

    recommend(conn, settings=SETTINGS.model_copy(update={"budget_amount": 500.0}))

    cut = _table(conn, "recommendations").row(by_predicate=at_main, named=True)
    assert cut["recommended_qty"] < whole["recommended_qty"]
    assert cut["reason"] == whole["reason"]


def _second_location(conn: duckdb.DuckDBPyConnection) -> None:
    """`side` sells a little of busy and has a lot of it."""
    conn.execute("INSERT INTO marts.dim_locations VALUES ('side', true, NULL, NULL)")
    conn.execute("INSERT INTO marts.fct_inventory_position VALUES ('busy', 'side', 100, 0, 0, 0, 0, 7)")
    conn.execute("INSERT INTO marts.fct_demand_daily SELECT sku, 'side', demand_date, 2 FROM marts.fct_demand_daily WHERE sku = 'busy'")


def test_a_budget_and_a_supplier_s_minimum_are_kept_and_what_they_leave_out_says_so(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    recommend(conn, settings=SETTINGS)
    needed = _table(conn, "recommendations").row(0, named=True)
    conn.execute("UPDATE marts.dim_supplier_items SET order_minimum_amount = ?", [(needed["recommended_qty"] + 20) * 1050])
    recommend(conn, settings=SETTINGS)
    raised = _table(conn, "recommendations").row(0, named=True)

    recommend(conn, settings=SETTINGS.model_copy(update={"budget_amount": 50.0}))

    assert (raised["recommended_qty"], raised["binding_constraint"]) == (needed["recommended_qty"] + 24, "supplier_minimum")
    assert json.loads(raised["basis"])["order_up_to_qty"] == raised["recommended_qty"] + 25 + 24
    assert _table(conn, "recommendations").is_empty()
    silent = _table(conn, "silent_items").filter(sku="busy").row(0, named=True)
    assert (silent["kind"], silent["reason"]) == ("budget", "The budget goes to orders that save more for their money.")


def test_a_minimum_that_is_not_worth_its_holding_goes_to_another_supplier_and_without_one_says_so(conn: duckdb.DuckDBPyConnection) -> None:
    conn.execute("UPDATE marts.dim_supplier_items SET min_order_qty = 100000 WHERE supplier_id = 's1' AND sku = 'busy'")
    _forecast(conn)
    recommend(conn, settings=SETTINGS)
    elsewhere, steps = _table(conn, "recommendations").row(0, named=True), _table(conn, "recommendation_steps")
    conn.execute("DELETE FROM marts.dim_supplier_items WHERE supplier_id = 's2' AND sku = 'busy'")

    recommend(conn, settings=SETTINGS)

    assert (elsewhere["sku"], elsewhere["supplier_id"]) == ("busy", "s2")
    assert "the smallest order is 100002" in steps.filter(step="Rejected: order from s1")["note"][0]
    assert _table(conn, "recommendations").is_empty()
    silent = _table(conn, "silent_items").filter(sku="busy").row(0, named=True)
    assert silent["kind"] == "not_worth"
    assert "units would save EUR" in silent["reason"]


def _override(conn: duckdb.DuckDBPyConnection, sku: str, kind: str, value: float, *, days: int = 60) -> None:
    conn.execute(
        "INSERT INTO meta.forecast_overrides VALUES ('o-1', ?, 'main', ?, ?, ?, ?, 'TV campaign', 'ann', TIMESTAMP '2025-06-30 09:00:00')",
        [sku, AS_OF + timedelta(days=1), AS_OF + timedelta(days=days), kind, value],
    )


def test_an_override_raises_what_is_ordered_and_the_steps_name_it(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    recommend(conn, settings=SETTINGS)
    before = _table(conn, "recommendations").row(0, named=True)
    _override(conn, "busy", "factor", 2.0)

    _forecast(conn)
    recommend(conn, settings=SETTINGS)

    daily = _table(conn, "forecast_daily").filter(pl.col("sku") == "busy")
    after = _table(conn, "recommendations").row(0, named=True)
    steps = _table(conn, "recommendation_steps").filter(pl.col("recommendation_key") == after["recommendation_key"])
    demand, override = steps.row(0, named=True), steps.row(1, named=True)
    assert (daily["demand_mean_qty"] - 2 * daily["statistical_mean_qty"]).abs().max() == pytest.approx(0)
    assert daily["override_id"].unique().to_list() == ["o-1"]
    assert after["recommended_qty"] > 1.5 * before["recommended_qty"]
    assert override["step"] == "Override of the forecast"
    assert override["qty"] == pytest.approx(demand["qty"], rel=0.1)
    assert override["note"] == "ann expects 2 times the forecast from 2025-07-01 to 2025-07-19 (override o-1): TV campaign."
    assert sum(list(_reckoning(conn, after["recommendation_key"]).values())[:-2]) == pytest.approx(after["raw_qty"])
    assert json.loads(after["basis"])["override_ids"] == ["o-1"]


def test_an_override_of_a_series_without_a_forecast_is_named_as_idle(conn: duckdb.DuckDBPyConnection) -> None:
    _override(conn, "gone", "absolute", 4.0)
    left_out = forecast_demand(conn, settings=SETTINGS)
    conn.execute("UPDATE meta.forecast_overrides SET sku = 'busy'")
    known = forecast_demand(conn, settings=SETTINGS)

    assert left_out.idle_overrides == ("override o-1 of gone at main",)
    assert (known.idle_overrides, known.overridden_series_count) == ((), 1)


def test_evidence_stands_for_a_week_and_says_its_day(conn: duckdb.DuckDBPyConnection) -> None:
    first = backtest_forecasts(conn)
    for day in (6, 7):
        conn.execute("UPDATE meta.run_context SET as_of_date = ?", [AS_OF + timedelta(days=day)])
        summary = backtest_forecasts(conn)
        assert summary.is_new == (day == 7)
        assert summary.backtest_date == str(AS_OF + timedelta(days=7 if day == 7 else 0))

    assert first.is_new


def test_evidence_of_a_later_day_of_other_methods_or_of_another_past_is_made_anew(conn: duckdb.DuckDBPyConnection) -> None:
    backtest_forecasts(conn)
    assert not backtest_forecasts(conn).is_new

    conn.execute("UPDATE meta.run_context SET as_of_date = ?", [AS_OF - timedelta(days=1)])
    assert backtest_forecasts(conn).why == "The evidence is of a later day, 2025-06-30"
    conn.execute("UPDATE planning.backtest_run SET method_version = 'older'")
    assert backtest_forecasts(conn).why == "The methods have changed"
    conn.execute("UPDATE marts.fct_demand_daily SET demand_qty = demand_qty * 2")
    assert backtest_forecasts(conn).why == "Demand before 2025-06-29 has changed since"


def test_a_backtest_that_died_is_made_again(conn: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    backtest_forecasts(conn)
    conn.execute("UPDATE planning.backtest_run SET method_version = 'older'")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.steps.backtest.class_rows", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            backtest_forecasts(conn)

    assert backtest_forecasts(conn).why == "No evidence yet"


def test_weekly_errors_add_up_to_the_scores(conn: duckdb.DuckDBPyConnection) -> None:
    summary = backtest_forecasts(conn)

    weeks = _table(conn, "backtest_weeks")
    assert weeks["week_ahead"].unique().sort().to_list() == [1, 2, 3, 4]
    assert weeks["absolute_error_qty"].sum() / weeks["actual_qty"].sum() == pytest.approx(summary.wape_rate)
    assert weeks["error_qty"].sum() / weeks["actual_qty"].sum() == pytest.approx(summary.bias_rate)
    assert weeks["in_band_days_count"].sum() / weeks["days_count"].sum() == pytest.approx(summary.band_coverage_rate)
    busy = weeks.filter(pl.col("sku") == "busy")
    mase = _table(conn, "backtest_series").filter(pl.col("sku") == "busy")["mase"].item()
    assert busy["scaled_error"].sum() / busy["scaled_days_count"].sum() == pytest.approx(mase)


def test_forecasts_that_missed_by_far_withhold_all_suggestions(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    conn.execute("DELETE FROM history.forecasts")
    conn.execute(
        "INSERT INTO history.forecasts SELECT ?, sku, location_id, demand_date - 14, statistical_mean_qty * 2, demand_p10_qty, demand_p90_qty "
        "FROM planning.forecast_daily WHERE demand_date <= ?",
        [AS_OF - timedelta(days=14), AS_OF + timedelta(days=14)],
    )

    summary = _forecast(conn)
    recommended = recommend(conn, settings=SETTINGS)

    assert summary.withheld_reason is not None
    assert summary.withheld_reason.startswith("Forecasts were 1")
    assert recommended.withheld_reason == summary.withheld_reason
    assert recommended.not_available is None
    assert _table(conn, "recommendations").is_empty()
    assert conn.sql("SELECT subject, failed_count FROM meta.check_results WHERE origin = 'forecast' ORDER BY 1").fetchall() == [
        ("bias_drift", 1),
        ("coverage_drift", 0),
        ("fallback_share", 0),
    ]


def test_demand_that_triples_after_forecasts_were_published_withholds_all_suggestions(conn: duckdb.DuckDBPyConnection) -> None:
    until = AS_OF - timedelta(days=14)
    conn.execute("CREATE TABLE later AS FROM marts.fct_demand_daily WHERE demand_date > ?", [until])
    conn.execute("DELETE FROM marts.fct_demand_daily WHERE demand_date > ?", [until])
    conn.execute("UPDATE meta.run_context SET as_of_date = ?", [until])
    before = _forecast(conn)
    conn.execute("INSERT INTO marts.fct_demand_daily SELECT * REPLACE (3 * demand_qty AS demand_qty) FROM later")
    conn.execute("UPDATE meta.run_context SET as_of_date = ?", [AS_OF])

    after = _forecast(conn)
    recommended = recommend(conn, settings=SETTINGS)

    assert before.withheld_reason is None
    failed = {check.check_name: check for check in after.checks if not check.is_passed}
    assert set(failed) == {"bias_drift", "coverage_drift"}
    assert failed["bias_drift"].basis == "published forecasts of 14 days"
    assert failed["bias_drift"].measured_rate == pytest.approx(-2 / 3, abs=0.05)
    assert recommended.withheld_reason is not None
    assert "too low in total (published forecasts of 14 days)" in recommended.withheld_reason
    assert _table(conn, "recommendations").is_empty()


def test_an_item_whose_own_forecast_broke_is_left_out_with_the_reason(conn: duckdb.DuckDBPyConnection) -> None:
    _forecast(conn)
    conn.execute("INSERT INTO planning.forecast_broken VALUES ('busy', 'main', 'Broken: 3 of the 28 days ahead have no usable quantity.')")

    recommend(conn, settings=SETTINGS)

    excluded = dict(_table(conn, "recommendation_exclusions").select("sku", "reason").rows())
    assert excluded["busy"] == "No forecast: Broken: 3 of the 28 days ahead have no usable quantity."
