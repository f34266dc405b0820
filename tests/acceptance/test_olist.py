"""The published totals of the Olist data set, through the store."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.steps.import_files import ImportReport, import_files
from pipelines.steps.import_mapping import resolve_mapping
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "olist"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir() and "CI" not in os.environ, reason="the data set is not here")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OperationalStore, ImportReport]]:
    """A SQLite store that holds the data set, and the report of its import."""
    path = tmp_path_factory.mktemp("olist") / "store.db"
    with OperationalStore.open(f"sqlite:///{path}", must_exist=False) as store:
        report = import_files(store, mapping=resolve_mapping("olist"), folder=FOLDER)
        yield store, report


@pytest.fixture(scope="module")
def store(imported: tuple[OperationalStore, ImportReport]) -> OperationalStore:
    return imported[0]


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


def test_every_row_of_every_file_is_used(imported: tuple[OperationalStore, ImportReport]) -> None:
    report = imported[1]

    assert all(counts.rows_used == counts.rows_read for counts in report.files)
    assert {counts.name: counts.rows_read for counts in report.files} == {
        "orders.parquet": 99_441,
        "order_items.parquet": 112_650,
        "order_reviews.parquet": 99_224,
        "customers.parquet": 99_441,
        "products.parquet": 32_951,
        "product_category_name_translation.parquet": 71,
    }
    assert report.files_not_mapped == ("geolocation.parquet", "order_payments.parquet", "sellers.parquet")


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
