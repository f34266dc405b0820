"""What a release says later of orders and items that alerts named."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest

from pipelines.alerts.verdicts import Waiting
from pipelines.steps.alert_inputs import read_jeopardy, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

DUE = date(2026, 11, 5)


@pytest.fixture
def release() -> Iterator[duckdb.DuckDBPyConnection]:
    """As of 10 November: orders that were sent or delivered in time or not, and stock of two items."""
    with duckdb.connect() as conn:
        conn.execute("CREATE SCHEMA marts; CREATE SCHEMA meta; CREATE SCHEMA planning")
        conn.execute("CREATE TABLE meta.run_context AS SELECT DATE '2026-11-10' AS as_of_date")
        conn.execute(
            "CREATE TABLE marts.fct_orders AS SELECT col0 AS order_id, col1::BOOLEAN AS is_cancelled, col2::DATE AS promised_ship_date, "
            "col3::DATE AS promised_delivery_date, col4::DATE AS delivered_date, col4 IS NOT NULL AS is_delivered_complete FROM (VALUES "
            "('late', false, '2026-11-05', '2026-11-08', NULL), "
            "('kept', false, '2026-11-05', '2026-11-08', NULL), "
            "('partly', false, '2026-11-05', '2026-11-08', NULL), "
            "('unsent', false, '2026-11-05', '2026-11-08', NULL), "
            "('called-off', true, '2026-11-05', '2026-11-08', NULL), "
            "('delivered', false, '2026-11-02', '2026-11-05', '2026-11-05'), "
            "('undelivered', false, '2026-11-02', '2026-11-05', '2026-11-06'))"
        )
        conn.execute(
            "CREATE TABLE marts.fct_order_lines AS SELECT * FROM (VALUES ('late', 2, 0), ('kept', 2, 2), ('kept', 1, 1), ('partly', 2, 2), "
            "('partly', 3, 2), ('unsent', 1, 0), ('called-off', 1, 0), ('delivered', 1, 1), ('undelivered', 1, 1)) "
            "AS t(order_id, ordered_qty, shipped_on_time_qty)"
        )
        conn.execute(
            "CREATE TABLE marts.fct_stock_daily AS SELECT * FROM (VALUES ('A', 'L', DATE '2026-11-01', 0), ('A', 'L', DATE '2026-11-04', 0), "
            "('A', 'L', DATE '2026-11-05', 0), ('B', 'L', DATE '2026-11-04', 3)) AS t(sku, location_id, stock_date, available_qty)"
        )
        yield conn


def waiting(kind: str, subject: str, judged_after: date = DUE) -> Waiting:
    return Waiting(subject, kind, subject, date(2026, 11, 1), judged_after, None)


def test_an_order_missed_the_promise_that_was_named_or_kept_it(release: duckdb.DuckDBPyConnection) -> None:
    names = ("late", "kept", "partly", "unsent", "called-off", "delivered", "undelivered", "unknown")

    found = read_outcomes(release, [waiting("order_jeopardy", f"order:{name}") for name in names])

    assert found == {"order:late": DUE, "order:partly": DUE, "order:unsent": DUE, "order:undelivered": DUE}


def test_an_item_was_out_on_the_first_day_after_the_alert_on_which_nothing_was_available(release: duckdb.DuckDBPyConnection) -> None:
    found = read_outcomes(release, [waiting("stock_out", "item:A@L"), waiting("stock_out", "item:B@L")])

    assert found == {"item:A@L": date(2026, 11, 4)}


def judge_open_orders(conn: duckdb.DuckDBPyConnection) -> None:
    """Orders to leave and to arrive, one that nobody could judge, and one whose promise is broken."""
    conn.execute(
        "CREATE TABLE planning.order_jeopardy AS SELECT * FROM (VALUES ('O-1', 'ship', 0.8, DATE '2026-11-12', 12345, 'No stock.'), "
        "('O-2', 'broken', 1, DATE '2026-11-09', 100, 'The promise was for 2026-11-09 and is broken. Payment is held.'), "
        "('O-3', 'ship', NULL, DATE '2026-11-12', 1, 'No stock.'), ('O-4', 'delivery', 0.2, DATE '2026-11-14', 1, 'On its way.')) "
        "AS t(order_id, promise_kind, miss_probability, due_date, net_reporting_amount, reason), "
        "(SELECT 'stock' AS reason_code, 'purchasing' AS owner)"
    )


def test_of_the_promises_of_an_order_the_next_one_counts_and_a_broken_one_is_told_as_such(release: duckdb.DuckDBPyConnection) -> None:
    judge_open_orders(release)

    found = read_jeopardy(release, "EUR", least=0.5)

    assert found is not None
    assert found.select("order_id", "promise_kind", "promised_date", "net_amount", "reason").rows() == [
        ("O-1", "ship", date(2026, 11, 12), 123.45, "No stock."), ("O-2", "broken", date(2026, 11, 9), 1.0, "Payment is held."),
    ]  # fmt: skip
