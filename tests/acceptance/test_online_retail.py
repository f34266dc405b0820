"""The Online Retail II data set: every row of its two overlapping files is accounted for, and returns find their sales."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipelines.steps.import_files import ImportReport, import_files
from pipelines.steps.import_mapping import resolve_mapping
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir() and "CI" not in os.environ, reason="the data set is not here")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OperationalStore, ImportReport]]:
    """A SQLite store that holds the data set, and the report of its import."""
    path = tmp_path_factory.mktemp("online_retail") / "store.db"
    with OperationalStore.open(f"sqlite:///{path}", must_exist=False) as store:
        report = import_files(store, mapping=resolve_mapping("online_retail"), folder=FOLDER)
        yield store, report


@pytest.fixture(scope="module")
def store(imported: tuple[OperationalStore, ImportReport]) -> OperationalStore:
    return imported[0]


@pytest.fixture(scope="module")
def report(imported: tuple[OperationalStore, ImportReport]) -> ImportReport:
    return imported[1]


@pytest.fixture(scope="module")
def lines(store: OperationalStore) -> pl.DataFrame:
    return store.read_source("order_lines", ["order_line_id", "order_id", "sku", "quantity", "unit_price"])


def test_every_row_of_both_files_is_accounted_for(report: ImportReport) -> None:
    first, second = report.files

    assert (first.rows_read, second.rows_read) == (525_461, 541_909)
    assert all(counts.rows_accounted_for == counts.rows_read for counts in report.files)
    assert report.rows_rejected == 0


def test_exactly_the_shared_rows_are_duplicates(report: ImportReport) -> None:
    assert [counts.rows_duplicate for counts in report.files] == [0, 22_523]


def test_rows_that_are_no_products_are_excluded_by_name(report: ImportReport) -> None:
    assert {name: count for name, count in report.rows_by_rule().items() if count} == {
        "bad_debt": 6, "postage": 3_510, "carriage": 278, "manual_entry": 1_403, "discount": 173, "samples": 102,
        "bank_charges": 100, "marketplace_fee": 36, "charity_commission": 16, "price_adjustment": 70, "gift_voucher": 101,
        "test_product": 17, "pads_placeholder": 19, "cancellation": 17_973, "write_off": 3_391, "stock_found": 1_877,
    }  # fmt: skip


def test_the_sales_are_what_a_direct_count_of_the_files_gives(lines: pl.DataFrame) -> None:
    first = pl.scan_parquet(FOLDER / "year_2009_2010.parquet").filter(pl.col("InvoiceDate") < datetime(2010, 12, 1))
    both = pl.concat([first, pl.scan_parquet(FOLDER / "year_2010_2011.parquet")])
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


def test_identical_lines_of_one_invoice_stay(lines: pl.DataFrame, report: ImportReport) -> None:
    alike = lines.group_by("order_id", "sku", "quantity", "unit_price").len().filter(pl.col("len") > 1)

    assert alike.height > 9_000
    assert next(counts.rows_built for counts in report.tables if counts.table == "order_lines") == lines.height


def test_the_sold_at_zero_are_kept_and_told(report: ImportReport) -> None:
    assert {note.name: note.count for note in report.warnings} == {"price_zero": 704, "year_2010_2011.parquet:shared_rows": 22_523}


def test_every_cancelled_line_is_a_return_with_its_basis(store: OperationalStore, report: ImportReport) -> None:
    returns = store.read_source("returns", ["return_id", "created_at", "order_id", "match_basis"])
    lines = store.read_source("return_lines", ["return_id", "sku", "quantity", "order_line_id"])
    joined = returns.join(lines, on="return_id")

    assert joined.height == returns.height == lines.height == 17_973
    assert lines["quantity"].min() == 1
    assert report.return_match_basis == {"matched": 15_817, "unmatched": 2_156}
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
