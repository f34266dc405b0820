"""The Online Retail II data set: every row of its overlapping files has one fate, returns find their sales, the release adds up."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.stores.operational import OperationalStore
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.real_exports import (
    DATA,
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
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Export]:
    with imported_and_run("online_retail", tmp_path_factory.mktemp("online_retail") / "home") as export:
        yield export


@pytest.fixture(scope="module")
def store(online_retail: Export) -> OperationalStore:
    return online_retail.store


@pytest.fixture(scope="module")
def report(online_retail: Export) -> dict[str, Any]:
    return online_retail.report


@pytest.fixture(scope="module")
def lines(store: OperationalStore) -> pl.DataFrame:
    return store.read_source("order_lines", ["order_line_id", "order_id", "sku", "quantity", "unit_price"])


def test_every_row_of_both_files_is_accounted_for(report: dict[str, Any]) -> None:
    fates = ("rows_used", "rows_excluded", "rows_redirected", "rows_duplicate", "rows_rejected")
    first, second = report["files"]

    assert (first["rows_read"], second["rows_read"]) == (525_461, 541_909)
    assert all(file["rows_read"] == sum(file[fate] for fate in fates) for file in (first, second))
    assert report["rows_rejected"] == 0


def test_exactly_the_shared_rows_are_duplicates(report: dict[str, Any]) -> None:
    assert [file["rows_duplicate"] for file in report["files"]] == [0, 22_523]


def test_rows_that_are_no_products_are_excluded_by_name(report: dict[str, Any]) -> None:
    assert {name: count for name, count in report["rows_by_rule"].items() if count} == {
        "bad_debt": 6, "postage": 3_510, "carriage": 278, "manual_entry": 1_403, "discount": 173, "samples": 102,
        "bank_charges": 100, "marketplace_fee": 36, "charity_commission": 16, "price_adjustment": 70, "gift_voucher": 101,
        "test_product": 17, "pads_placeholder": 19, "cancellation": 17_973, "write_off": 3_391, "stock_found": 1_877,
    }  # fmt: skip


def test_the_sales_are_what_a_direct_count_of_the_files_gives(lines: pl.DataFrame) -> None:
    first = pl.scan_parquet(DATA / "online_retail" / "year_2009_2010.parquet").filter(pl.col("InvoiceDate") < datetime(2010, 12, 1))
    both = pl.concat([first, pl.scan_parquet(DATA / "online_retail" / "year_2010_2011.parquet")])
    code = pl.col("StockCode").str.strip_chars().str.to_uppercase()
    paid = both.filter(
        (pl.col("Quantity") > 0)
        & (pl.col("UnitPrice") > 0)
        & ~pl.col("InvoiceNo").str.contains("^[AC]")
        & code.str.contains(r"^(\d{5}[A-Z]*|DCGS\w*|SP1002)$")
    )
    expected = paid.select(pl.len(), pl.col("Quantity").cast(pl.Int64).sum(), code.n_unique().alias("skus")).collect().row(0)

    sold = lines.filter(pl.col("unit_price") > 0)

    assert sold.select(pl.len(), pl.col("quantity").sum(), pl.col("sku").n_unique()).row(0) == expected
    assert expected[0] == 1_015_071


def test_identical_lines_of_one_invoice_stay(lines: pl.DataFrame, report: dict[str, Any]) -> None:
    alike = lines.group_by("order_id", "sku", "quantity", "unit_price").len().filter(pl.col("len") > 1)

    assert alike.height > 9_000
    assert next(counts["rows_built"] for counts in report["tables"] if counts["table"] == "order_lines") == lines.height


def test_the_sold_at_zero_are_kept_and_told(report: dict[str, Any]) -> None:
    assert {note["name"]: note["count"] for note in report["warnings"]} == {"price_zero": 704, "year_2010_2011.parquet:shared_rows": 22_523}


def test_every_cancelled_line_is_a_return_with_its_basis(store: OperationalStore, report: dict[str, Any]) -> None:
    returns = store.read_source("returns", ["return_id", "created_at", "order_id", "match_basis"])
    lines = store.read_source("return_lines", ["return_id", "sku", "quantity", "order_line_id"])
    joined = returns.join(lines, on="return_id")

    assert joined.height == returns.height == lines.height == 17_973
    assert lines["quantity"].min() == 1
    assert report["return_match_basis"] == {"matched": 15_817, "unmatched": 2_156}
    assert joined.filter((pl.col("match_basis") == "matched") != pl.col("order_line_id").is_not_null()).is_empty()


def test_no_sale_takes_back_more_than_it_sold(store: OperationalStore, lines: pl.DataFrame) -> None:
    returned = store.read_source("return_lines", ["return_line_id", "order_line_id", "quantity"])

    taken = returned.group_by("order_line_id").agg(pl.col("quantity").sum()).join(lines, on="order_line_id", suffix="_sold")

    assert taken.filter(pl.col("quantity") > pl.col("quantity_sold")).is_empty()


def test_the_two_giant_orders_find_their_cancellations(store: OperationalStore) -> None:
    giants = store.read_source("return_lines", ["return_line_id", "quantity", "order_line_id"]).filter(pl.col("quantity") > 70_000)

    assert giants.sort("quantity").rows() == [("C541433:23166:1", 74_215, "541431:23166:1"), ("C581484:23843:1", 80_995, "581483:23843:1")]


def test_write_offs_and_found_stock_are_movements_with_their_sign(store: OperationalStore) -> None:
    movements = store.read_source("stock_movements", ["movement_id", "quantity", "movement_type"])

    by_type = movements.group_by("movement_type").agg(
        pl.len(), pl.col("quantity").min().alias("least"), pl.col("quantity").max().alias("most")
    )
    found = {movement_type: (count, least, most) for movement_type, count, least, most in by_type.iter_rows()}
    assert found["write_off"][0] == 3_391
    assert found["write_off"][2] < 0
    assert found["stock_found"][0] == 1_877
    assert found["stock_found"][1] > 0


def test_products_have_one_upper_case_code_and_the_usual_description(store: OperationalStore) -> None:
    products = store.read_source("products", ["sku", "title"])
    titles = dict(products.iter_rows())

    assert products.filter(pl.col("sku") != pl.col("sku").str.to_uppercase()).is_empty()
    assert titles["85123A"] == "WHITE HANGING HEART T-LIGHT HOLDER"
    assert titles["47503J"] == "SET/3 FLORAL GARDEN TOOLS IN BAG"
    assert "damaged" not in {(title or "").casefold() for title in titles.values()}


def test_stock_is_not_known_and_no_table_pretends_it_is(store: OperationalStore) -> None:
    assert not {"stock_levels", "suppliers", "supplier_items", "shipments"} & store.present_fields().keys()


def test_online_retail_runs_with_sales_and_says_what_else_it_would_need(online_retail: Export) -> None:
    metrics = online_retail.metrics

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


def test_online_retails_sales_and_refunds_are_those_of_its_files(online_retail: Export) -> None:
    whole = online_retail.whole
    paid, taken_back = paid_and_taken_back()

    assert (paid[0], paid[2]) == (1_015_071, whole["gross_sales"]["value"])
    assert taken_back == (17_973, -whole["returned_units"]["value"], -whole["refunds"]["value"])
    assert (whole["gross_sales"]["value"], whole["refunds"]["value"]) == (19_700_954.44, 719_656.34)
    assert whole["gross_sales"]["n"] == 1_015_071 + 704  # those sold at a price of zero are lines too
    assert whole["net_sales"]["value"] == pytest.approx(19_700_954.44 - 719_656.34, abs=0.005)


def test_online_retails_returns_say_how_many_found_their_sale(online_retail: Export) -> None:
    with online_retail.release() as conn:
        bases = dict(conn.execute("select match_basis, count(*) from marts.fct_return_lines group by match_basis").fetchall())
    returned = online_retail.whole["returned_units"]

    assert bases == {"matched": 15_817, "unmatched": 2_156}
    assert returned["n"] == 17_973
    assert "2,156 of 17,973 lines undo no sale that is known" in returned["note"]


def test_online_retails_write_offs_are_movements_and_neither_sales_nor_returns(online_retail: Export) -> None:
    with open_warehouse(online_retail.settings.warehouse_path, read_only=True) as conn:
        moved = conn.execute(
            "select movement_type, count(*), sum(quantity) < 0 from raw.stock_movements group by all order by all"
        ).fetchall()
        sold = conn.execute(
            "select count(*) from marts.fct_sales_events where event_type = 'sale' and (qty <= 0 or net_amount < 0)"
        ).fetchone()

    assert moved == [("stock_found", 1_877, False), ("write_off", 3_391, True)]
    assert sold == (0,)


def test_what_online_retail_cannot_know_is_not_available_and_never_zero(online_retail: Export) -> None:
    whole = online_retail.whole

    assert unknown(whole) == UNKNOWN_TO_BOTH | {
        "cancellation_rate", "late_orders_by_date", "late_orders_by_timestamp", "line_fill_rate", "on_time_in_full", "open_orders",
        "open_orders_mean_age_days", "open_orders_value", "order_cycle_time_mean_days", "order_cycle_time_p50_days",
        "order_cycle_time_p90_days", "order_fill_rate", "order_stage_create_to_approve_mean_days", "order_stage_release_to_ship_mean_days",
        "order_stage_ship_to_deliver_mean_days", "overdue_open_orders", "review_rate", "satisfaction_low_score_rate",
        "satisfaction_mean_score", "unit_fill_rate",
    }  # fmt: skip
    assert unknown(online_retail.metrics) == unknown(whole)
    assert whole["return_cycle_time_p50_days"]["needs_missing"] == ["returns.received_at"]
    assert zeros(whole) == set()


def test_people_and_their_orders_equal_a_recount_from_the_store(online_retail: Export) -> None:
    assert_people_equal_a_recount(online_retail)
