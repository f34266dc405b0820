from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.errors import ContractError, SourceFileError
from pipelines.faults import files as faults
from pipelines.steps.import_defects import defect
from pipelines.steps.import_mapping import ImportMapping
from pipelines.steps.import_reading import ReadFile
from pipelines.steps.import_rows import load_rows
from pipelines.steps.import_tables import build_tables, fate_counts, open_workbench, rejected_defects, table_frame, warned_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

LINES = ("number", "code", "units", "price", "day")
COLUMNS = {"number": "text", "code": "text", "units": "integer", "price": "decimal", "day": "timestamp"}


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_workbench() as opened:
        yield opened


def mapping(**changes: Any) -> ImportMapping:
    """A till's export, one row per line; `changes` go into its file, except `tables` and `dialect`."""
    tables = changes.pop("tables", {})
    dialect = changes.pop("dialect", {})
    file = {"parts": ["lines.csv"], "format": "csv", "columns": COLUMNS, "document": {"ticket": "number"}, **changes}
    orders = {"from": "lines", "one_row_per_key": True, "columns": {"order_id": "number", "created_at": "min(day)"}}
    lines = {
        "from": "lines",
        "columns": {
            "order_line_id": "number || ':' || row_number() OVER (PARTITION BY number ORDER BY _row)",
            "order_id": "number",
            "sku": "code",
            "quantity": "units",
            "unit_price": "price",
        },
    }
    content = {"merchant": "Shop", "zone": "UTC", "currency": "EUR", "dialect": dialect, "files": {"lines": file}}
    return ImportMapping.model_validate({**content, "tables": {"orders": orders, "order_lines": lines, **tables}})


def part(*rows: tuple[str | None, ...], name: str = "lines.csv") -> ReadFile:
    frame = pl.DataFrame(list(rows), schema=dict.fromkeys(LINES, pl.String), orient="row")
    frame = frame.with_columns(_line=pl.int_range(2, pl.len() + 2, dtype=pl.Int64), _defect=pl.lit(None, pl.String))
    return ReadFile(name=name, sha256="", rows=frame, rows_read=frame.height, extra_columns=())


def line(number: str | None, code: str | None = "CUP", units: str | None = "1", price: str | None = "9.50") -> tuple[str | None, ...]:
    return (number, code, units, price, "2026-03-01 10:00:00")


def built(conn: duckdb.DuckDBPyConnection, declared: ImportMapping, *parts: ReadFile) -> dict[str, pl.DataFrame]:
    load_rows(conn, "lines", declared.files["lines"], parts, declared.dialect)
    build_tables(conn, declared)
    return {name: table_frame(conn, name, declared) for name in declared.tables}


def fates(conn: duckdb.DuckDBPyConnection) -> dict[tuple[int, str, str | None], int]:
    return {(count.part, count.fate, count.rule): count.count for count in fate_counts(conn, "lines")}


def test_one_file_feeds_orders_and_lines(conn: duckdb.DuckDBPyConnection) -> None:
    tables = built(conn, mapping(), part(line("A"), line("A", units="2"), line("B")))

    assert tables["orders"].select("order_id", "currency").rows() == [("A", "EUR"), ("B", "EUR")]
    assert tables["order_lines"].select("order_line_id", "quantity").rows() == [("A:1", 1), ("A:2", 2), ("B:1", 1)]
    assert fates(conn) == {(0, "used", None): 3}


@pytest.mark.parametrize("units", ["1.5", "abc", "NaN", "1e3", "9" * 20, "0x1F", "1,000"])
def test_what_is_no_integer_is_rejected_with_its_document(conn: duckdb.DuckDBPyConnection, units: str) -> None:
    tables = built(conn, mapping(), part(line("A", units=units), line("A"), line("B")))

    assert tables["orders"]["order_id"].to_list() == ["B"]
    assert fates(conn) == {(0, "rejected", None): 2, (0, "used", None): 1}
    assert [(found.line, found.text) for found in rejected_defects(conn, "lines")] == [
        (2, f"{defect(faults.UNREADABLE, column='units', detail=', an integer')}\x1f{units}"),
        (3, defect(faults.BAD_DOCUMENT, detail=" (ticket A)")),
    ]


@pytest.mark.parametrize("price", ["3,50", "1.234,00", "Inf", "nan", "1e309", "--1", "€5"])
def test_what_is_no_decimal_in_the_declared_dialect_is_rejected(conn: duckdb.DuckDBPyConnection, price: str) -> None:
    tables = built(conn, mapping(), part(line("A", price=price), line("B")))

    assert tables["order_lines"]["order_id"].to_list() == ["B"]


def test_a_decimal_comma_is_read_where_it_is_declared(conn: duckdb.DuckDBPyConnection) -> None:
    tables = built(conn, mapping(dialect={"decimal_mark": ","}), part(line("A", price="3,50"), line("B", price="3.50")))

    assert [str(price) for price in tables["order_lines"]["unit_price"]] == ["3.5000"]


def test_a_day_that_never_was_is_rejected(conn: duckdb.DuckDBPyConnection) -> None:
    tables = built(conn, mapping(), part(("A", "CUP", "1", "1", "2025-02-30 00:00:00"), line("B")))

    assert tables["orders"]["order_id"].to_list() == ["B"]


def test_a_missing_required_value_rejects_the_document(conn: duckdb.DuckDBPyConnection) -> None:
    tables = built(conn, mapping(), part(line("A", code=None), line("A"), line("B")))

    assert tables["order_lines"]["order_id"].to_list() == ["B"]
    assert rejected_defects(conn, "lines")[0].text == defect(faults.NO_VALUE, detail=" (sku of order_lines)")


def test_a_row_without_a_document_is_rejected_alone(conn: duckdb.DuckDBPyConnection) -> None:
    tables = built(conn, mapping(), part(line(None), line("B")))

    assert tables["orders"]["order_id"].to_list() == ["B"]
    assert fates(conn) == {(0, "rejected", None): 1, (0, "used", None): 1}


def test_two_rows_with_the_same_key_are_rejected_both(conn: duckdb.DuckDBPyConnection) -> None:
    lines = {
        "from": "lines",
        "columns": {"order_line_id": "number", "order_id": "number", "sku": "code", "quantity": "1", "unit_price": "price"},
    }

    tables = built(conn, mapping(tables={"order_lines": lines}), part(line("A"), line("A"), line("B")))

    assert tables["order_lines"]["order_line_id"].to_list() == ["B"]
    assert rejected_defects(conn, "lines")[0].text == defect(faults.SAME_KEY, detail=" of order_lines") + "\x1fA"


def test_the_first_rule_that_holds_excludes_a_row_bad_or_not(conn: duckdb.DuckDBPyConnection) -> None:
    rules = [
        {"name": "postage", "when": "code = 'POST'", "then": "exclude", "because": "no product"},
        {"name": "anything", "when": "true", "then": "exclude", "because": "test"},
    ]

    built(conn, mapping(rules=rules), part(line("A", code="POST", price="free"), line("A")))

    assert fates(conn) == {(0, "excluded", "anything"): 1, (0, "excluded", "postage"): 1}


def test_redirected_rows_reach_only_the_table_that_asks_for_them(conn: duckdb.DuckDBPyConnection) -> None:
    rules = [{"name": "broken", "when": "units < 0", "then": "redirect", "because": "stock"}]
    movements = {
        "from": "lines",
        "rows": ["broken"],
        "columns": {
            "movement_id": "number",
            "sku": "code",
            "location_id": "'SHOP'",
            "quantity": "units",
            "movement_type": "'write_off'",
            "occurred_at": "day",
        },
    }
    declared = mapping(rules=rules, tables={"stock_movements": movements})

    tables = built(conn, declared, part(line("A", units="-3"), line("B")))

    assert tables["stock_movements"].select("movement_id", "quantity").rows() == [("A", -3)]
    assert tables["orders"]["order_id"].to_list() == ["B"]
    assert fates(conn) == {(0, "redirected", "broken"): 1, (0, "used", None): 1}


def test_a_warning_rule_only_counts(conn: duckdb.DuckDBPyConnection) -> None:
    rules = [{"name": "free", "when": "price = 0", "then": "warn", "because": "gift"}]
    declared = mapping(rules=rules)

    tables = built(conn, declared, part(line("A", price="0"), line("B")))

    assert tables["orders"].height == 2
    assert warned_counts(conn, declared) == {"free": 1}


def test_rows_shared_by_two_parts_are_dropped_once_each_and_identical_lines_of_one_part_stay(conn: duckdb.DuckDBPyConnection) -> None:
    declared = mapping(parts=["a.csv", "b.csv"], drop_rows_shared_by_parts=True)
    first = part(line("A"), line("B"), line("B"), line("C", code="MUG"))
    second = part(line("B"), line("B"), line("B"), line("C"), line("D"))

    tables = built(conn, declared, first, second)

    assert fates(conn) == {(0, "used", None): 4, (1, "duplicate", None): 2, (1, "used", None): 3}
    assert tables["order_lines"]["order_id"].to_list() == ["A", "B", "B", "B", "C", "C", "D"]


def test_rows_shared_by_two_parts_are_found_although_they_hold_nulls(conn: duckdb.DuckDBPyConnection) -> None:
    declared = mapping(parts=["a.csv", "b.csv"], drop_rows_shared_by_parts=True)
    rules_row = line("A", code=None)

    built(conn, declared, part(rules_row), part(rules_row))

    assert fates(conn) == {(0, "rejected", None): 1, (1, "duplicate", None): 1}


def test_a_row_in_three_parts_is_kept_once(conn: duckdb.DuckDBPyConnection) -> None:
    declared = mapping(parts=["a.csv", "b.csv", "c.csv"], drop_rows_shared_by_parts=True)

    built(conn, declared, part(line("A")), part(line("A")), part(line("A"), line("A")))

    assert fates(conn) == {(0, "used", None): 1, (1, "duplicate", None): 1, (2, "duplicate", None): 1, (2, "used", None): 1}


def test_the_most_frequent_value_wins_and_ties_go_to_the_first_in_order(conn: duckdb.DuckDBPyConnection) -> None:
    products = {"from": "lines", "one_row_per_key": True, "columns": {"sku": "code", "title": "most_frequent(number)"}}
    rows = [line("B", code="X"), line("A", code="X"), line("C", code="Y"), line("D", code="Y"), line("D", code="Y")]

    tables = built(conn, mapping(tables={"products": products}), part(*rows))

    assert tables["products"].select("sku", "title").rows() == [("X", "A"), ("Y", "D")]


def test_a_repeated_key_of_a_keyed_file_refuses_the_file(conn: duckdb.DuckDBPyConnection) -> None:
    declared = mapping(key=["number"])

    with pytest.raises(SourceFileError, match=r'^E111 lines\.csv line 4 number: a key that is unique stands there twice, got "A"'):
        built(conn, declared, part(line("A"), line("B"), line("A")))


def test_a_wrong_column_in_an_expression_is_named(conn: duckdb.DuckDBPyConnection) -> None:
    products = {"from": "lines", "one_row_per_key": True, "columns": {"sku": "cod"}}

    with pytest.raises(ContractError, match=r'Mapping, tables\.products: .*"cod" not found.*"code"'):
        built(conn, mapping(tables={"products": products}), part(line("A")))


def test_an_expression_of_another_type_is_refused(conn: duckdb.DuckDBPyConnection) -> None:
    orders = {"from": "lines", "one_row_per_key": True, "columns": {"order_id": "number", "created_at": "min(number)"}}

    with pytest.raises(
        ContractError, match=r"tables\.orders\.columns\.created_at: the expression gives VARCHAR, the contract wants timestamp"
    ):
        built(conn, mapping(tables={"orders": orders}), part(line("A")))


@pytest.mark.parametrize(
    "expression", ["(SELECT content FROM read_text('/etc/hostname'))", "(SELECT any_value(number) FROM glob('/*') AS t(number))"]
)
def test_an_expression_reaches_no_file(conn: duckdb.DuckDBPyConnection, expression: str) -> None:
    products = {"from": "lines", "columns": {"sku": expression}}

    with pytest.raises(ContractError, match="disabled"):
        built(conn, mapping(tables={"products": products}), part(line("A")))


def test_no_progress_is_drawn_into_what_other_programs_read(conn: duckdb.DuckDBPyConnection) -> None:
    assert conn.sql("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
