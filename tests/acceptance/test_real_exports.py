"""The two real exports, from their files to the figures that a release carries."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.stores.releases import current_release, open_release
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir() and "CI" not in os.environ, reason="the data sets are not here")


# Wide enough for every row of either export.
WHOLE = ("--from", "2009-01-01", "--to", "2018-12-31")
# What rests on tables or columns that neither export has.
UNKNOWN_TO_BOTH = {
    "aged_stock_rate", "aged_stock_value", "blocked_order_hold_p50_hours", "blocked_order_hold_p90_hours", "blocked_orders", "blocked_value",
    "blocked_value_lost", "blocked_value_released", "contractual_churn_28_days_rate", "contractual_churn_month_rate", "cycle_service_level",
    "days_of_supply", "dead_stock_rate", "dead_stock_value", "discount_rate", "dso_days", "exception_rate", "excess_stock_rate", "excess_stock_value", "exchange_share",
    "fulfilment_accuracy", "gmroi", "in_stock_rate", "inventory_turns", "invoice_to_cash_p50_days", "labour_cost", "labour_minutes_per_order",
    "lead_time_actual_p50_days", "lead_time_actual_p90_days", "lead_time_promised_mean_days", "lead_time_promised_p50_days",
    "order_cycle_time_net_mean_days", "order_cycle_time_net_p50_days", "order_cycle_time_net_p90_days",
    "order_stage_approve_to_release_mean_days", "order_to_cash_p50_days", "order_to_cash_p90_days", "order_to_invoice_p50_days",
    "overdue_receivables", "perfect_order_rate", "rebates_accrued", "receivables", "reconciliation_differences", "reconciliation_match_rate",
    "restock_value", "retained_revenue", "return_announced_to_received_mean_days", "return_cost_to_serve", "return_cycle_time_mean_days",
    "return_cycle_time_p50_days", "return_cycle_time_p90_days", "return_rate", "return_received_to_refunded_mean_days", "short_delivery_rate",
    "short_unit_rate", "stock_value", "supplier_on_time_rate", "touches_per_order", "touchless_rate",
}  # fmt: skip


def imported_and_run(name: str, home: Path) -> tuple[CommandLine, dict[str, Any]]:
    ordercast = CommandLine(home)
    report = ordercast.json("import", name, str(DATA / name))
    run = ordercast.json("run")
    latest, whole = ({value["name"]: value for value in ordercast.json("metrics", *period)} for period in ((), WHOLE))
    return ordercast, {"report": report, "run": run, "metrics": latest, "whole": whole}


def unknown(values: dict[str, Any]) -> set[str]:
    """Names of the metrics that are not available; each says what it needs and shows no number at all."""
    found = {name: value for name, value in values.items() if value["status"] == "not_available"}
    for name, value in found.items():
        assert value["note"] == f"not available: needs {', '.join(value['needs_missing'])}", name
        assert [value[part] for part in ("value", "numerator", "denominator", "n", "prior", "last_year", "change")] == [None] * 7, name
    return set(found)


def zeros(values: dict[str, Any]) -> set[str]:
    return {name for name, value in values.items() if value["value"] == 0}


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, dict[str, Any]]:
    return imported_and_run("olist", tmp_path_factory.mktemp("olist") / "home")


@pytest.fixture(scope="module")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, dict[str, Any]]:
    return imported_and_run("online_retail", tmp_path_factory.mktemp("online_retail") / "home")


def test_olists_published_totals_stand_in_the_release(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    release = current_release(Settings(home=olist[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        totals = conn.execute(
            "select count(*), avg(cycle_time_days), median(cycle_time_days), count_if(is_late_by_timestamp), count_if(is_late_by_date) "
            "from marts.fct_orders where delivered_at is not null"
        ).fetchone()

    assert totals == (96_476, pytest.approx(12.559, abs=0.0005), pytest.approx(10.218, abs=0.0005), 7_827, 6_535)


def test_the_products_cycle_time_leaves_cancelled_orders_out_and_counts_them(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    period = ("--from", "2016-09-01", "--to", "2018-10-31")

    mean, late, late_by_date = olist[0].json(
        "metrics", "order_cycle_time_mean_days", "late_orders_by_timestamp", "late_orders_by_date", *period
    )

    assert (mean["n"], mean["excluded"]["cancelled"]) == (96_470, 6)
    assert mean["value"] == pytest.approx(12.558, abs=0.0005)
    assert (late["value"], late_by_date["value"]) == (7_826, 6_534)  # one of the cancelled six came late


def test_olists_goods_are_sold_or_cancelled(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    whole = olist[1]["whole"]
    gross, cancellations = whole["gross_sales"], whole["cancellation_rate"]

    release = current_release(Settings(home=olist[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        cancelled = conn.execute("select sum(net_amount) from marts.fct_order_lines where is_cancelled").fetchone()

    assert (gross["value"], gross["currency_code"]) == (13_496_408.43, "BRL")
    assert cancelled == (9_523_527,)  # in cents; with what was sold it is the published 13,591,643.70
    assert (gross["n"], gross["excluded"]["cancelled"]) == (112_108, 542)  # of 112,650 items
    assert (cancellations["numerator"], cancellations["denominator"]) == (625, 99_441)


def test_olists_reviews_count_each_order_they_speak_of(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    release = current_release(Settings(home=olist[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        scores = dict(conn.execute("select score, count(*) from marts.fct_reviews group by score").fetchall())
    mean, low = (olist[1]["whole"][name] for name in ("satisfaction_mean_score", "satisfaction_low_score_rate"))

    assert scores == {5: 57_328, 4: 19_142, 3: 8_179, 2: 3_151, 1: 11_424}
    assert sum(scores.values()) == 99_224
    assert (mean["n"], mean["excluded"]["undated"]) == (99_206, 18)
    assert mean["value"] == pytest.approx(sum(score * count for score, count in scores.items()) / 99_224, abs=0.0005)
    assert low["value"] == pytest.approx((3_151 + 11_424) / 99_224, abs=0.0005)


def test_olists_people_are_the_buyers_and_not_the_orders(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    release = current_release(Settings(home=olist[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        people = conn.execute("select count(*) from marts.dim_customers").fetchone()
        again = conn.execute(
            "select count(*) from (from marts.fct_orders select customer_key group by customer_key having count(*) > 1)"
        ).fetchone()
    active = olist[1]["whole"]["active_customers"]

    assert (people, again) == ((96_096,), (2_997,))
    assert active["value"] == 94_989  # the others have only cancelled orders or ones without an item
    assert active["excluded"] == {"cancelled": 625, "test": 0, "without_lines": 611, "guest_orders": 0}


def test_olists_orders_are_all_counted_with_the_cycle_time(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    whole = olist[1]["whole"]
    mean, median = whole["order_cycle_time_mean_days"], whole["order_cycle_time_p50_days"]

    assert mean["n"] + sum(mean["excluded"].values()) == 99_441
    assert mean["excluded"] == median["excluded"]
    assert median["value"] == pytest.approx(10.217, abs=0.0005)  # 10.218 with the six cancelled ones


def test_what_olist_cannot_know_is_not_available_and_never_zero(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    whole = olist[1]["whole"]

    assert unknown(whole) == UNKNOWN_TO_BOTH | {"order_stage_release_to_ship_mean_days", "refunds", "returned_units"}
    assert unknown(olist[1]["metrics"]) == unknown(whole)
    assert whole["order_cycle_time_net_p50_days"]["needs_missing"] == ["orders.requested_delivery_at"]
    assert whole["refunds"]["needs_missing"] == ["returns.refunded_at", "returns.refund_amount"]
    assert zeros(whole) == set()


def test_what_olist_lacks_is_named_and_nothing_is_guessed(olist: tuple[CommandLine, dict[str, Any]]) -> None:
    metrics = olist[1]["metrics"]

    assert metrics["in_stock_rate"]["status"] == "not_available"
    assert metrics["in_stock_rate"]["value"] is None
    assert "stock_levels" in metrics["in_stock_rate"]["note"]
    assert olist[1]["run"]["counts"]["recommend"]["not_available"] == "needs stock_levels, supplier_items"
    assert olist[0].json("recommendations") == []


def test_every_row_of_online_retail_has_one_fate(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    files = online_retail[1]["report"]["files"]
    fates = ("rows_used", "rows_excluded", "rows_redirected", "rows_duplicate", "rows_rejected")

    assert [file["rows_read"] for file in files] == [525_461, 541_909]
    assert all(file["rows_read"] == sum(file[fate] for fate in fates) for file in files)
    assert sum(file["rows_duplicate"] for file in files) == 22_523


def test_online_retail_runs_with_sales_and_says_what_else_it_would_need(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    metrics = online_retail[1]["metrics"]

    assert metrics["net_sales"]["value"] > 1_000_000
    assert metrics["net_sales"]["currency_code"] == "GBP"
    for name in ("order_cycle_time_p50_days", "unit_fill_rate", "on_time_in_full", "return_rate", "in_stock_rate"):
        assert metrics[name]["status"] == "not_available"
        assert metrics[name]["note"].startswith("not available: needs ")


def paid_and_taken_back() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Lines, units and GBP of the sales and of the cancellations, straight from the two files; what is no product is neither."""
    first, second = (pl.scan_parquet(DATA / "online_retail" / f"year_{years}.parquet") for years in ("2009_2010", "2010_2011"))
    is_product = pl.col("StockCode").str.strip_chars().str.to_uppercase().str.contains(r"^(\d{5}[A-Z]*|DCGS\w*|SP1002)$")
    rows = pl.concat([first.filter(pl.col("InvoiceDate") < datetime(2010, 12, 1)), second]).filter(is_product)
    units = pl.col("Quantity").cast(pl.Int64)
    sums = (pl.len(), units.sum(), (units * pl.col("UnitPrice")).sum().round(2).alias("amount"))
    paid = rows.filter((units > 0) & (pl.col("UnitPrice") > 0) & ~pl.col("InvoiceNo").str.contains("^[AC]"))
    cancelled = rows.filter((units < 0) & pl.col("InvoiceNo").str.starts_with("C"))
    return paid.select(sums).collect().row(0), cancelled.select(sums).collect().row(0)


def test_online_retails_sales_and_refunds_are_those_of_its_files(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    whole = online_retail[1]["whole"]
    paid, taken_back = paid_and_taken_back()

    assert (paid[0], paid[2]) == (1_015_071, whole["gross_sales"]["value"])
    assert taken_back == (17_973, -whole["returned_units"]["value"], -whole["refunds"]["value"])
    assert (whole["gross_sales"]["value"], whole["refunds"]["value"]) == (19_700_954.44, 719_656.34)
    assert whole["gross_sales"]["n"] == 1_015_071 + 704  # those sold at a price of zero are lines too
    assert whole["net_sales"]["value"] == pytest.approx(19_700_954.44 - 719_656.34, abs=0.005)


def test_online_retails_returns_say_how_many_found_their_sale(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    release = current_release(Settings(home=online_retail[0].home).releases_path)
    assert release is not None
    with open_release(release) as conn:
        bases = dict(conn.execute("select match_basis, count(*) from marts.fct_return_lines group by match_basis").fetchall())
    returned = online_retail[1]["whole"]["returned_units"]

    assert bases == {"matched": 15_817, "unmatched": 2_156}
    assert returned["n"] == 17_973
    assert "2,156 of 17,973 lines undo no sale that is known" in returned["note"]


def test_online_retails_write_offs_are_movements_and_neither_sales_nor_returns(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    with open_warehouse(Settings(home=online_retail[0].home).warehouse_path, read_only=True) as conn:
        moved = conn.execute(
            "select movement_type, count(*), sum(quantity) < 0 from raw.stock_movements group by all order by all"
        ).fetchall()
        sold = conn.execute(
            "select count(*) from marts.fct_sales_events where event_type = 'sale' and (qty <= 0 or net_amount < 0)"
        ).fetchone()

    assert moved == [("stock_found", 1_877, False), ("write_off", 3_391, True)]
    assert sold == (0,)


def test_what_online_retail_cannot_know_is_not_available_and_never_zero(online_retail: tuple[CommandLine, dict[str, Any]]) -> None:
    whole = online_retail[1]["whole"]

    assert unknown(whole) == UNKNOWN_TO_BOTH | {
        "cancellation_rate", "late_orders_by_date", "late_orders_by_timestamp", "line_fill_rate", "on_time_in_full", "open_orders",
        "open_orders_mean_age_days", "open_orders_value", "order_cycle_time_mean_days", "order_cycle_time_p50_days",
        "order_cycle_time_p90_days", "order_fill_rate", "order_stage_create_to_approve_mean_days", "order_stage_release_to_ship_mean_days",
        "order_stage_ship_to_deliver_mean_days", "overdue_open_orders", "review_rate", "satisfaction_low_score_rate",
        "satisfaction_mean_score", "unit_fill_rate",
    }  # fmt: skip
    assert unknown(online_retail[1]["metrics"]) == unknown(whole)
    assert whole["return_cycle_time_p50_days"]["needs_missing"] == ["returns.received_at"]
    assert zeros(whole) == set()
