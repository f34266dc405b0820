"""The published totals of the Olist data set, in the store and in the release."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.stores.operational import OperationalStore
from tests.acceptance.real_exports import (
    UNKNOWN_TO_BOTH,
    Export,
    assert_people_equal_a_recount,
    imported_and_run,
    needs_data,
    unknown,
    zeros,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_data


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Export]:
    with imported_and_run("olist", tmp_path_factory.mktemp("olist") / "home") as export:
        yield export


@pytest.fixture(scope="module")
def store(olist: Export) -> OperationalStore:
    return olist.store


@pytest.fixture(scope="module")
def delivered(store: OperationalStore) -> pl.DataFrame:
    """Orders with a delivery time, whatever their status, in UTC."""
    orders = store.read_source("orders", ["order_id", "created_at", "promised_delivery_at"])
    shipments = store.read_source("shipments", ["order_id", "delivered_at"])
    return orders.join(shipments.filter(pl.col("delivered_at").is_not_null()), on="order_id")


def cycle_time_days() -> pl.Expr:
    return (pl.col("delivered_at") - pl.col("created_at")).dt.total_microseconds() / 86_400_000_000


def in_local_time(frame: pl.DataFrame) -> pl.DataFrame:
    times = [name for name, kind in frame.schema.items() if kind == pl.Datetime]
    local = pl.col(times).dt.replace_time_zone("UTC").dt.convert_time_zone("Etc/GMT+3").dt.replace_time_zone(None)
    return frame.with_columns(local)


def test_every_row_of_every_file_is_used(olist: Export) -> None:
    report = olist.report

    assert all(counts["rows_used"] == counts["rows_read"] for counts in report["files"])
    assert {counts["name"]: counts["rows_read"] for counts in report["files"]} == {
        "orders.parquet": 99_441,
        "order_items.parquet": 112_650,
        "order_reviews.parquet": 99_224,
        "customers.parquet": 99_441,
        "products.parquet": 32_951,
        "product_category_name_translation.parquet": 71,
    }
    assert report["files_not_mapped"] == ["geolocation.parquet", "order_payments.parquet", "sellers.parquet"]


def test_orders_keep_their_status_and_their_people(store: OperationalStore) -> None:
    orders = store.read_source("orders", ["customer_id", "fulfillment_status", "cancelled_at"])

    assert dict(orders.group_by("fulfillment_status").len().iter_rows()) == {
        "delivered": 96_478, "shipped": 1_107, "canceled": 625, "unavailable": 609,
        "invoiced": 314, "processing": 301, "created": 5, "approved": 2,
    }  # fmt: skip
    assert orders.height == 99_441
    assert orders["customer_id"].n_unique() == 96_096
    assert orders["cancelled_at"].count() == 625
    assert store.read_source("customers").height == 96_096


def test_lines_and_their_prices_are_complete(store: OperationalStore) -> None:
    lines = store.read_source("order_lines", ["order_line_id", "quantity", "unit_price"])

    assert lines.height == 112_650
    assert (lines["unit_price"] * lines["quantity"]).sum() == Decimal("13591643.70")
    assert store.read_source("orders", ["order_id", "total_shipping"])["total_shipping"].sum() == Decimal("2251909.54")


def test_every_delivered_order_counts_whatever_its_status(delivered: pl.DataFrame) -> None:
    days = delivered.select(cycle_time_days()).to_series()

    assert days.len() == 96_476
    assert days.mean() == pytest.approx(12.559, abs=0.0005)
    assert days.median() == pytest.approx(10.218, abs=0.0005)


def test_late_orders_by_timestamp_and_by_calendar_date(delivered: pl.DataFrame) -> None:
    local = in_local_time(delivered)

    assert local.filter(pl.col("delivered_at") > pl.col("promised_delivery_at")).height == 7_827
    assert local.filter(pl.col("delivered_at").dt.date() > pl.col("promised_delivery_at").dt.date()).height == 6_535


def test_reviews_keep_both_halves_of_their_key(store: OperationalStore) -> None:
    reviews = store.read_source("reviews", ["review_id", "order_id", "score"])

    assert reviews.height == 99_224
    assert reviews["review_id"].n_unique() == 98_410
    assert dict(reviews.group_by("score").len().iter_rows()) == {5: 57_328, 4: 19_142, 3: 8_179, 2: 3_151, 1: 11_424}


def test_what_the_export_lacks_is_absent_and_not_empty(store: OperationalStore) -> None:
    present = store.present_fields()

    assert present.keys() == {"customers", "products", "orders", "order_lines", "shipments", "shipment_lines", "reviews"}
    assert "location_id" not in present["orders"]


def test_olists_published_totals_stand_in_the_release(olist: Export) -> None:
    with olist.release() as conn:
        totals = conn.execute(
            "select count(*), avg(cycle_time_days), median(cycle_time_days), count_if(is_late_by_timestamp), count_if(is_late_by_date) "
            "from marts.fct_orders where delivered_at is not null"
        ).fetchone()

    assert totals == (96_476, pytest.approx(12.559, abs=0.0005), pytest.approx(10.218, abs=0.0005), 7_827, 6_535)


def test_the_products_cycle_time_leaves_cancelled_orders_out_and_counts_them(olist: Export) -> None:
    period = ("--from", "2016-09-01", "--to", "2018-10-31")

    mean, late, late_by_date = olist.ordercast.json(
        "metrics", "order_cycle_time_mean_days", "late_orders_by_timestamp", "late_orders_by_date", *period
    )

    assert (mean["n"], mean["excluded"]["cancelled"]) == (96_470, 6)
    assert mean["value"] == pytest.approx(12.558, abs=0.0005)
    assert (late["value"], late_by_date["value"]) == (7_826, 6_534)  # one of the cancelled six came late


def test_olists_goods_are_sold_or_cancelled(olist: Export) -> None:
    whole = olist.whole
    gross, cancellations = whole["gross_sales"], whole["cancellation_rate"]

    with olist.release() as conn:
        cancelled = conn.execute("select sum(net_amount) from marts.fct_order_lines where is_cancelled").fetchone()

    assert (gross["value"], gross["currency_code"]) == (13_496_408.43, "BRL")
    assert cancelled == (9_523_527,)  # in cents; with what was sold it is the published 13,591,643.70
    assert (gross["n"], gross["excluded"]["cancelled"]) == (112_108, 542)  # of 112,650 items
    assert (cancellations["numerator"], cancellations["denominator"]) == (625, 99_441)


def test_olists_reviews_count_each_order_they_speak_of(olist: Export) -> None:
    with olist.release() as conn:
        scores = dict(conn.execute("select score, count(*) from marts.fct_reviews group by score").fetchall())
    mean, low = (olist.whole[name] for name in ("satisfaction_mean_score", "satisfaction_low_score_rate"))

    assert scores == {5: 57_328, 4: 19_142, 3: 8_179, 2: 3_151, 1: 11_424}
    assert sum(scores.values()) == 99_224
    assert (mean["n"], mean["excluded"]["undated"]) == (99_206, 18)
    assert mean["value"] == pytest.approx(sum(score * count for score, count in scores.items()) / 99_224, abs=0.0005)
    assert low["value"] == pytest.approx((3_151 + 11_424) / 99_224, abs=0.0005)


def test_olists_people_are_the_buyers_and_not_the_orders(olist: Export) -> None:
    with olist.release() as conn:
        people = conn.execute("select count(*) from marts.dim_customers").fetchone()
        again = conn.execute(
            "select count(*) from (from marts.fct_orders select customer_key group by customer_key having count(*) > 1)"
        ).fetchone()
    active = olist.whole["active_customers"]

    assert (people, again) == ((96_096,), (2_997,))
    assert active["value"] == 94_989  # the others have only cancelled orders or ones without an item
    assert active["excluded"] == {"cancelled": 625, "test": 0, "without_lines": 611, "guest_orders": 0}


def test_olists_orders_are_all_counted_with_the_cycle_time(olist: Export) -> None:
    whole = olist.whole
    mean, median = whole["order_cycle_time_mean_days"], whole["order_cycle_time_p50_days"]

    assert mean["n"] + sum(mean["excluded"].values()) == 99_441
    assert mean["excluded"] == median["excluded"]
    assert median["value"] == pytest.approx(10.217, abs=0.0005)  # 10.218 with the six cancelled ones


def test_what_olist_cannot_know_is_not_available_and_never_zero(olist: Export) -> None:
    whole = olist.whole

    assert unknown(whole) == UNKNOWN_TO_BOTH | {"order_stage_release_to_ship_mean_days", "refunds", "returned_units"}
    assert unknown(olist.metrics) == unknown(whole)
    assert whole["order_cycle_time_net_p50_days"]["needs_missing"] == ["orders.requested_delivery_at"]
    assert whole["refunds"]["needs_missing"] == ["returns.refunded_at", "returns.refund_amount"]
    assert zeros(whole) == set()


def test_what_olist_lacks_is_named_and_nothing_is_guessed(olist: Export) -> None:
    metrics = olist.metrics

    assert metrics["in_stock_rate"]["status"] == "not_available"
    assert metrics["in_stock_rate"]["value"] is None
    assert "stock_levels" in metrics["in_stock_rate"]["note"]
    assert olist.run["counts"]["recommend"]["not_available"] == "needs stock_levels, supplier_items"
    assert olist.ordercast.json("recommendations") == []


def test_people_and_their_orders_equal_a_recount_from_the_store(olist: Export) -> None:
    assert_people_equal_a_recount(olist)
