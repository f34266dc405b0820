from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.faults.documents import NOT_ALLOWED
from pipelines.quality.arrivals import document_groups, frame_to_check, receive
from pipelines.quality.runner import check_rows
from pipelines.quality.suites import IS_TRUE, OneOf, RowRule, Within, rules_for
from pipelines.stores.source_contract import SOURCE_TABLES

NOW = datetime(2025, 3, 10, 12, 0)
GOOD_ORDER = {"order_id": "O1", "created_at": "2025-03-10 11:59:00", "currency": "EUR"}
GOOD_LINE = {"order_line_id": "L1", "order_id": "O1", "sku": "MUG", "quantity": "2", "unit_price": "12.50"}


def broken_rules(table: str, *texts: dict[str, str | None]) -> dict[str, int]:
    """What the suite of a table says about rows given as text, as a store would: broken rules and how many rows."""
    contract, fields = SOURCE_TABLES[table], list(texts[0])
    columns = {name: pa.array([row[name] for row in texts], pa.string()) for name in fields}
    columns["_key"] = pa.array([f'["{row[contract.key[0]]}"]' for row in texts], pa.string())
    reader = pa.Table.from_pydict(columns).to_reader()
    with duckdb.connect() as conn:
        arrival = receive(conn, contract, fields=frozenset(fields), rows=reader, changed_keys=None)
        rules = rules_for(contract, fields=fields, tables=[table], now=NOW)
        outcomes = check_rows(frame_to_check(conn, arrival, rules, headers={}), rules)
    return {outcome.rule.name: len(outcome.failed_rows) for outcome in outcomes if outcome.failed_rows}


def test_good_rows_break_no_rule():
    assert broken_rules("orders", GOOD_ORDER) == {}
    assert broken_rules("order_lines", GOOD_LINE) == {}


@pytest.mark.parametrize("quantity", ["abc", "1.5", "NaN", "Inf", "1e309", "9223372036854775808", "", "1_000"])
def test_what_is_no_whole_number_is_not_readable_as_quantity(quantity: str):
    assert "quantity_is_readable" in broken_rules("order_lines", GOOD_LINE | {"quantity": quantity})


@pytest.mark.parametrize("quantity", ["0", "-1", "1000000001"])
def test_a_quantity_is_at_least_one_and_at_most_a_billion(quantity: str):
    assert broken_rules("order_lines", GOOD_LINE | {"quantity": quantity}) == {"quantity_is_allowed": 1}


@pytest.mark.parametrize("quantity", ["1", "+3", "2.0000", "1000000000"])
def test_whole_numbers_may_carry_a_sign_or_zeros_behind_the_point(quantity: str):
    assert broken_rules("order_lines", GOOD_LINE | {"quantity": quantity}) == {}


@pytest.mark.parametrize("price", ["3,50", "1.234,00", "NaN", "Infinity", "twelve", "99999999999999999"])
def test_a_price_in_another_notation_is_not_readable(price: str):
    assert broken_rules("order_lines", GOOD_LINE | {"unit_price": price}) == {"unit_price_is_readable": 1}


def test_a_price_may_be_zero_but_not_negative():
    assert broken_rules("order_lines", GOOD_LINE | {"unit_price": "0"}) == {}
    assert broken_rules("order_lines", GOOD_LINE | {"unit_price": "-0.01"}) == {"unit_price_is_allowed": 1}


@pytest.mark.parametrize(
    ("created_at", "rule"),
    [
        ("2025-02-30 10:00:00", "created_at_is_readable"),
        ("03/04/2025", "created_at_is_readable"),
        ("infinity", "created_at_is_readable"),
        ("1970-01-01 00:00:00", "created_at_is_plausible"),
        ("2025-03-10 12:05:01", "created_at_is_past"),
        (None, "created_at_is_given"),
    ],
)
def test_an_order_is_created_at_a_real_time_that_is_not_ahead(created_at: str | None, rule: str):
    assert broken_rules("orders", GOOD_ORDER | {"created_at": created_at}) == {rule: 1}


def test_a_clock_may_run_five_minutes_ahead():
    ahead = f"{NOW + timedelta(minutes=5)}"

    assert broken_rules("orders", GOOD_ORDER | {"created_at": ahead}) == {}


@pytest.mark.parametrize(("currency", "rule"), [(None, "given"), ("", "given"), ("EURO", "allowed"), ("eur", "allowed")])
def test_an_order_names_a_currency_of_the_world(currency: str | None, rule: str):
    assert f"currency_is_{rule}" in broken_rules("orders", GOOD_ORDER | {"currency": currency})


@pytest.mark.parametrize("text", ["00123", "1E5", "NA", "=HYPERLINK(1)", "'; DROP TABLE orders; --", "späť 🚚"])
def test_any_text_may_be_an_identifier(text: str):
    assert broken_rules("products", {"sku": text}) == {}


def test_a_nul_byte_in_a_key_is_refused():
    assert broken_rules("products", {"sku": "MUG\x00"}) == {"sku_is_intact": 1}


def test_movements_of_stock_are_signed_and_stock_may_be_negative():
    movement = {"movement_id": "M1", "sku": "A", "location_id": "L", "quantity": "-4", "movement_type": "sale",
                "occurred_at": "2025-03-01"}  # fmt: skip

    assert broken_rules("stock_movements", movement) == {}
    assert broken_rules("stock_levels", {"sku": "A", "location_id": "L", "on_hand": "-3"}) == {}


GOOD_HOLD = {"order_id": "O1", "placed_at": "2025-03-10 11:00:00", "outcome": "released", "amount": "12.50"}
GOOD_RATE = {"rate_date": "2025-03-10", "from_currency": "CHF", "to_currency": "EUR", "rate": "1.0531"}
GOOD_TIER = {"partner_id": "S1", "basis": "purchase_amount", "tier_from": "1000", "rate": "0.02", "valid_from": "2025-01-01"}
GOOD_INVOICE = {"invoice_id": "I1", "order_id": "O1", "issued_at": "2025-03-10 11:00:00", "amount": "12.50"}
GOOD_PAYMENT = {"payment_id": "P1", "invoice_id": "I1", "paid_at": "2025-03-10 11:00:00", "amount": "12.50"}


@pytest.mark.parametrize(
    ("table", "good", "wrong", "rule"),
    [
        ("payment_holds", GOOD_HOLD, {"outcome": "lost"}, "outcome_is_allowed"),
        ("payment_holds", GOOD_HOLD, {"amount": "-1"}, "amount_is_allowed"),
        ("payment_holds", GOOD_HOLD, {"placed_at": "2026-01-01 00:00:00"}, "placed_at_is_past"),
        ("fx_rates", GOOD_RATE, {"rate": "0"}, "rate_is_allowed"),
        ("fx_rates", GOOD_RATE, {"rate": "-1.05"}, "rate_is_allowed"),
        ("rebate_agreements", GOOD_TIER, {"rate": "2"}, "rate_is_allowed"),
        ("invoices", GOOD_INVOICE, {"issued_at": "2026-01-01 00:00:00"}, "issued_at_is_past"),
        ("payments", GOOD_PAYMENT, {"paid_at": "1970-01-01 00:00:00"}, "paid_at_is_plausible"),
    ],
)
def test_money_is_held_billed_paid_and_exchanged_within_reason(table: str, good: dict[str, str], wrong: dict[str, str], rule: str):
    assert broken_rules(table, good) == {}
    assert broken_rules(table, good | wrong) == {rule: 1}


def test_a_credit_note_is_an_invoice_below_zero():
    assert broken_rules("invoices", GOOD_INVOICE | {"amount": "-12.50"}) == {}


def test_the_same_key_in_two_different_rows_is_refused_and_an_exact_copy_is_dropped():
    other = GOOD_ORDER | {"currency": "SEK"}

    assert broken_rules("orders", GOOD_ORDER, other) == {"order_id_is_unique": 2}
    assert broken_rules("orders", GOOD_ORDER, GOOD_ORDER) == {}


def test_a_reference_is_checked_only_where_its_table_is_present():
    fields = SOURCE_TABLES["order_lines"].required_fields
    with_orders = rules_for(SOURCE_TABLES["order_lines"], fields=fields, tables=["orders", "order_lines"], now=NOW)

    assert [rule.name for rule in with_orders if rule.aspect == "known"] == ["order_id_is_known"]


def test_every_rule_of_every_table_can_be_evaluated():
    for contract in SOURCE_TABLES.values():
        with duckdb.connect() as conn:
            conn.execute("CREATE SCHEMA raw")
            for name, table in SOURCE_TABLES.items():
                conn.execute(f"CREATE TABLE raw.{name} ({', '.join(f'{field.name} VARCHAR' for field in table.fields)})")
            texts = {field.warehouse_name: pa.array(["x"]) for field in contract.fields} | {"_key": pa.array(['["x","x","x","x"]'])}
            rows = pa.Table.from_pydict(texts).to_reader()
            arrival = receive(conn, contract, fields=frozenset(contract.field_names), rows=rows, changed_keys=None)
            rules = rules_for(contract, fields=contract.field_names, tables=SOURCE_TABLES, now=NOW)

            outcomes = check_rows(frame_to_check(conn, arrival, rules, headers={}), rules)

        failed = {outcome.rule.name for outcome in outcomes if outcome.failed_rows}
        unreadable = {f"{field.name}_is_readable" for field in contract.fields if field.kind != "text"}
        assert unreadable <= failed


def test_the_rows_that_fail_are_named_by_their_index():
    frame = pd.DataFrame({"score": [3.0, 9.0, None], "is_paid": [True, True, False]}, index=[10, 11, 12])
    rules = [RowRule("score", "allowed", Within(1, 5), NOT_ALLOWED), RowRule("is_paid", "allowed", IS_TRUE, NOT_ALLOWED)]

    outcomes = check_rows(frame, rules)

    assert [outcome.failed_rows for outcome in outcomes] == [(11,), (12,)]


def test_two_rules_about_the_same_values_are_both_answered():
    frame = pd.DataFrame({"code": ["EUR", "X"]})
    rule = RowRule("code", "allowed", OneOf(frozenset({"EUR"})), NOT_ALLOWED)

    outcomes = check_rows(frame, [rule, rule])

    assert [outcome.failed_rows for outcome in outcomes] == [(1,), (1,)]


def test_columns_that_one_test_judges_are_answered_each_for_itself():
    frame = pd.DataFrame({"first": [3, 9, -1], "second": [1, 2, 9], "third": [0.5, 2.0, None], "fourth": [5, 1, 1]}, index=[7, 3, 20])
    rules = [RowRule(field, "allowed", Within(1, 5), NOT_ALLOWED) for field in frame]

    outcomes = check_rows(frame, rules)

    assert [(outcome.rule.field, outcome.failed_rows) for outcome in outcomes] == [
        ("first", (3, 20)), ("second", (20,)), ("third", (7,)), ("fourth", ()),
    ]  # fmt: skip


def test_headers_come_with_their_lines_and_every_table_has_one_place():
    groups = [[table.name for table in group] for group in document_groups()]

    assert ["orders", "order_lines"] in groups
    assert ["purchase_orders", "purchase_order_lines"] in groups
    assert sorted(name for group in groups for name in group) == sorted(SOURCE_TABLES)


def test_every_key_column_is_required():
    for table in SOURCE_TABLES.values():
        assert set(table.key) <= set(table.required_fields)


def test_decimals_keep_four_places():
    with duckdb.connect() as conn:
        reader = pa.table({"order_line_id": ["L"], "unit_price": ["12.3456"], "_key": ['["L"]']}).to_reader()
        fields = frozenset({"order_line_id", "unit_price"})
        arrival = receive(conn, SOURCE_TABLES["order_lines"], fields=fields, rows=reader, changed_keys=None)

        typed = conn.execute(f"SELECT {arrival.typed_columns()['unit_price']} FROM {arrival.incoming}").fetchone()

    assert typed == (Decimal("12.3456"),)
