"""What a release says later of orders and items that alerts named."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.alerts.verdicts import Ending, Waiting
from pipelines.steps.alert_inputs import read_jeopardy, read_outcomes, read_pauses

if TYPE_CHECKING:
    from collections.abc import Iterator

DUE, AS_OF = date(2026, 11, 5), date(2026, 11, 10)


@pytest.fixture
def release() -> Iterator[duckdb.DuckDBPyConnection]:
    """As of 10 November: orders that were sent or delivered in time or not, and stock of two items."""
    with duckdb.connect() as conn:
        conn.execute("CREATE SCHEMA marts; CREATE SCHEMA meta; CREATE SCHEMA planning")
        conn.execute("CREATE TABLE meta.run_context AS SELECT DATE '2026-11-10' AS as_of_date")
        conn.execute(
            "CREATE TABLE marts.fct_orders AS SELECT col0 AS order_id, col1 AS cancel_reason, col2::DATE AS ended_date, "
            "col1 IS NOT NULL AS is_cancelled, DATE '2026-11-05' AS promised_ship_date, col3::DATE AS promised_delivery_date, "
            "col4 AS is_shipped_complete, col5 AS is_on_time_in_full, true AS is_open FROM (VALUES "
            "('late', NULL, NULL, '2026-11-08', true, NULL), "
            "('kept', NULL, NULL, '2026-11-08', true, true), "
            "('partly', NULL, NULL, '2026-11-08', true, NULL), "
            "('unsent', NULL, NULL, '2026-11-08', false, false), "
            "('with-gift-card', NULL, NULL, '2026-11-08', true, true), "
            "('cut', NULL, NULL, '2026-11-08', true, false), "
            "('customer-left', 'customer', '2026-11-04', '2026-11-08', false, NULL), "
            "('customer-left-late', 'customer', '2026-11-06', '2026-11-08', false, NULL), "
            "('out-of-stock', 'out_of_stock', '2026-11-04', '2026-11-08', false, NULL), "
            "('put-off', NULL, NULL, '2026-11-20', true, NULL))"
        )
        conn.execute(
            "CREATE TABLE marts.fct_order_lines AS SELECT * FROM (VALUES ('late', 2, 2, 0, 0, true), ('kept', 2, 2, 2, 0, true), "
            "('kept', 1, 1, 1, 0, false), ('partly', 2, 2, 2, 0, true), ('partly', 3, 3, 2, 0, true), ('unsent', 1, 0, 0, 0, true), "
            "('with-gift-card', 1, 1, 1, 0, true), ('with-gift-card', 1, 0, 0, 0, false), ('cut', 1, 1, 1, 0, true), "
            "('cut', 1, 0, 0, 1, false), ('customer-left', 1, 0, 0, 0, true), ('customer-left-late', 1, 0, 0, 0, true), "
            "('out-of-stock', 1, 0, 0, 0, true), ('put-off', 1, 1, 1, 0, true)) "
            "AS t(order_id, ordered_qty, shipped_qty, shipped_on_time_qty, given_up_qty, is_fill_eligible)"
        )
        conn.execute(
            "CREATE TABLE marts.fct_stock_daily AS SELECT * FROM (VALUES ('A', 'L', DATE '2026-11-01', 0), ('A', 'L', DATE '2026-11-04', 0), "
            "('A', 'L', DATE '2026-11-05', 0), ('B', 'L', DATE '2026-11-04', 3)) AS t(sku, location_id, stock_date, available_qty)"
        )
        yield conn


def waiting(kind: str, subject: str, promise_kind: str | None = None) -> Waiting:
    return Waiting(subject, kind, subject, date(2026, 11, 1), DUE, None, is_acknowledged=False, promise_kind=promise_kind)


def outcomes(conn: duckdb.DuckDBPyConnection, promise_kind: str, *names: str) -> dict[str, Ending]:
    asked = [waiting("order_jeopardy", f"order:{name}", promise_kind) for name in names]
    return {subject.removeprefix("order:"): found for subject, found in read_outcomes(conn, asked, as_of=AS_OF).items()}


def test_a_promise_to_leave_was_kept_when_all_goods_had_left_by_its_day(release: duckdb.DuckDBPyConnection) -> None:
    names = ("late", "kept", "partly", "unsent", "with-gift-card", "cut", "out-of-stock", "customer-left-late")

    found = outcomes(release, "ship", *names)

    kept = {"kept", "with-gift-card"}
    assert found == {name: Ending(came_about=name not in kept, day=DUE) for name in names}


def test_a_promise_to_arrive_was_kept_when_the_order_was_on_time_in_full(release: duckdb.DuckDBPyConnection) -> None:
    found = outcomes(release, "delivery", "kept", "late", "unsent", "put-off")

    assert {name: one.came_about for name, one in found.items()} == {"kept": False, "late": True, "unsent": True}


def test_an_order_that_was_called_off_or_is_gone_has_nothing_left_to_judge(release: duckdb.DuckDBPyConnection) -> None:
    found = outcomes(release, "ship", "customer-left", "erased")

    assert {name: one.came_about for name, one in found.items()} == {"customer-left": None, "erased": None}


def test_an_item_was_out_on_the_first_day_after_the_alert_on_which_nothing_was_available(release: duckdb.DuckDBPyConnection) -> None:
    found = read_outcomes(release, [waiting("stock_out", "item:A@L"), waiting("stock_out", "item:B@L")], as_of=AS_OF)
    early = read_outcomes(release, [waiting("stock_out", "item:B@L")], as_of=date(2026, 11, 4))

    assert found == {"item:A@L": Ending(came_about=True, day=date(2026, 11, 4)), "item:B@L": Ending(came_about=False)}
    assert early == {}


def judge_open_orders(conn: duckdb.DuckDBPyConnection) -> None:
    """Orders to leave and to arrive, one that nobody could judge, and one whose promise is broken."""
    conn.execute(
        "CREATE TABLE planning.order_jeopardy AS SELECT * FROM (VALUES ('O-1', 'ship', 0.8, DATE '2026-11-12', 12345, 'No stock.'), "
        "('O-2', 'broken', 1, DATE '2026-11-09', 100, 'The promise was for 2026-11-09 and is broken. Payment is held.'), "
        "('O-3', 'ship', NULL, DATE '2026-11-12', 1, 'No stock.'), ('O-4', 'delivery', 0.2, DATE '2026-11-14', 1, 'On its way.')) "
        "AS t(order_id, promise_kind, miss_probability, due_date, net_reporting_amount, reason), "
        "(SELECT 'stock' AS reason_code, 'purchasing' AS owner, DATE '2026-11-14' AS promised_delivery_date, true AS was_waiting)"
    )
    for name in ("O-1", "O-2", "O-3", "O-4"):
        conn.execute("INSERT INTO marts.fct_orders BY NAME SELECT ? AS order_id, true AS is_open, false AS is_shipped_complete", [name])


def test_of_the_promises_of_an_order_the_next_one_counts_and_a_broken_one_is_told_as_such(release: duckdb.DuckDBPyConnection) -> None:
    judge_open_orders(release)

    found = read_jeopardy(release, "EUR", least=0.5)

    assert found is not None
    assert found.select("order_id", "promise_kind", "promised_date", "net_amount", "reason").rows() == [
        ("O-1", "ship", date(2026, 11, 12), 123.45, "No stock."), ("O-2", "broken", date(2026, 11, 9), 1.0, "Payment is held."),
    ]  # fmt: skip


def test_on_a_day_in_the_past_orders_are_judged_that_have_gone_since(release: duckdb.DuckDBPyConnection) -> None:
    judge_open_orders(release)
    release.execute("UPDATE planning.order_jeopardy SET was_waiting = false")
    release.execute("UPDATE marts.fct_orders SET is_open = false")

    found = read_jeopardy(release, "EUR", least=0.5)

    assert found is not None
    assert found["order_id"].to_list() == ["O-1", "O-2"]


def test_plans_that_were_made_before_orders_were_judged_like_this_say_nothing(release: duckdb.DuckDBPyConnection) -> None:
    judge_open_orders(release)
    release.execute("ALTER TABLE planning.order_jeopardy DROP COLUMN was_waiting")

    assert read_jeopardy(release, "EUR", least=0.5) is None


@pytest.mark.parametrize(
    ("happened", "left"),
    [
        ("is_shipped_complete = true", ["O-4"]),
        ("is_open = false", []),
        ("order_id = order_id || ' erased'", []),
        ("is_shipped_complete = false", ["O-1", "O-2", "O-4"]),
    ],
)
def test_after_a_refresh_no_order_is_at_risk_that_has_left_arrived_or_was_called_off(
    release: duckdb.DuckDBPyConnection, happened: str, left: list[str]
) -> None:
    judge_open_orders(release)
    release.execute(f"UPDATE marts.fct_orders SET {happened}")

    found = read_jeopardy(release, "EUR", least=0.1)

    assert found is not None
    assert found["order_id"].to_list() == left


def test_the_pause_of_a_table_is_the_longest_between_days_with_rows_and_few_days_make_none(release: duckdb.DuckDBPyConnection) -> None:
    release.execute(
        "CREATE OR REPLACE TABLE marts.fct_orders AS SELECT unnest(generate_series(DATE '2026-01-01', AS_OF, INTERVAL 1 DAY))::DATE AS ordered_date".replace(
            "AS_OF", "DATE '2026-11-10'"
        )
    )
    release.execute(
        "CREATE OR REPLACE TABLE marts.fct_order_lines AS SELECT ordered_date AS shipped_date FROM marts.fct_orders WHERE isodow(ordered_date) < 6"
    )

    weekdays = read_pauses(release, AS_OF)
    release.execute("DELETE FROM marts.fct_order_lines WHERE day(shipped_date) > 8")

    assert weekdays == {"orders": 1, "shipments": 3, "stock_levels": 3}
    assert read_pauses(release, AS_OF) == {"orders": 1}
