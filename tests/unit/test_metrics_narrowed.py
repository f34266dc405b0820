"""Metrics of some members only: which rows are left, what stays whole, and what cannot be narrowed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import MetricError
from pipelines.stores.metrics import daily_values, evaluate, values_over
from pipelines.stores.metrics_windows import Span
from tests.unit.test_metrics_language import AS_OF, CATALOGUE, add_order, conn  # noqa: F401 - a fixture

if TYPE_CHECKING:
    import duckdb


@pytest.fixture
def shop(conn: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:  # noqa: F811
    """Ten orders on the web (two cancelled) and five in the shop (one cancelled), and one of nobody's channel."""
    for _ in range(8):
        add_order(conn, "2024-03-05", "A")
    add_order(conn, "2024-03-06", "B", reason="fraud")
    add_order(conn, "2024-03-06", "B", reason="late")
    for _ in range(4):
        add_order(conn, "2024-03-07", "B", channel="shop")
    add_order(conn, "2024-03-07", "gone", channel="shop", reason="late")
    add_order(conn, "2024-03-07", channel="")
    add_order(conn, "2023-01-01", channel="shop")
    return conn


def test_only_rows_of_the_chosen_members_count(shop: duckdb.DuckDBPyConnection) -> None:
    (one,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"channel": ["web"]})
    (several,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"channel": ["shop", "unknown"]})
    (looked_up,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"category": ["cups"], "channel": ["web", "shop"]})
    (nobody,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"channel": ["'; drop table x; --"]})

    assert (one.numerator, one.denominator, one.n) == (2, 10, 10)
    assert (several.numerator, several.denominator) == (1, 6)
    assert (looked_up.numerator, looked_up.denominator) == (2, 6)
    assert (nobody.value, nobody.status) == (None, "no_data")


def test_what_is_split_and_narrowed_is_both(shop: duckdb.DuckDBPyConnection) -> None:
    by_category = evaluate(shop, CATALOGUE, ["order_count"], by="category", where={"channel": ["shop"]})
    by_channel = evaluate(shop, CATALOGUE, ["order_count"], by="channel", where={"channel": ["shop"], "category": ["cups"]})

    assert [(value.member, value.value) for value in by_category] == [("cups", 4), ("unknown", 1)]
    assert [(value.member, value.value) for value in by_channel] == [("shop", 4)]


def test_a_reason_narrows_the_numerator_and_leaves_the_whole_as_it_is(shop: duckdb.DuckDBPyConnection) -> None:
    (late,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"reason": ["late"]})
    (late_on_the_web,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"reason": ["late"], "channel": ["web"]})
    by_reason = evaluate(shop, CATALOGUE, ["cancellation_rate"], by="reason", where={"reason": ["late"]})
    (nothing,) = evaluate(shop, CATALOGUE, ["cancellation_rate"], where={"reason": ["stolen"]})

    assert (late.numerator, late.denominator, late.n) == (2, 16, 16)
    assert (late_on_the_web.numerator, late_on_the_web.denominator) == (1, 10)
    assert [(value.member, value.numerator, value.denominator) for value in by_reason] == [("late", 2, 16)]
    assert (nothing.value, nothing.status) == (0, "no_target")


def test_a_metric_without_the_dimension_says_so_and_is_never_shown_unnarrowed(shop: duckdb.DuckDBPyConnection) -> None:
    shop.execute("insert into marts.fct_stock values ('2024-03-28', 'A', 3, 100)")

    count, stock = evaluate(shop, CATALOGUE, ["order_count", "stock"], where={"channel": ["web"]})
    course = daily_values(shop, CATALOGUE, "stock", since=date(2024, 3, 1), until=AS_OF, where={"channel": ["web"]})

    assert count.value == 10
    assert (stock.value, stock.status, stock.note) == (None, "not_available", "cannot be narrowed to channel")
    assert course.is_empty()


def test_narrowing_to_what_nobody_knows_or_to_nothing_is_refused(shop: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(MetricError, match=r"No metric can be narrowed to 'chanel'; did you mean channel\?"):
        evaluate(shop, CATALOGUE, ["order_count"], where={"chanel": ["web"]})
    with pytest.raises(MetricError, match="Narrowed to channel, but to none of its members"):
        evaluate(shop, CATALOGUE, ["order_count"], where={"channel": []})


def test_a_dimension_the_source_lacks_cannot_narrow(shop: duckdb.DuckDBPyConnection) -> None:
    shop.execute("update meta.source_fields set is_present = false")

    (value,) = evaluate(shop, CATALOGUE, ["order_count"], where={"category": ["tea"]})

    assert value.note == "not available: needs products.category"


def test_a_course_is_narrowed_too(shop: duckdb.DuckDBPyConnection) -> None:
    days = daily_values(shop, CATALOGUE, "order_count", since=date(2024, 3, 5), until=date(2024, 3, 7), where={"channel": ["web"]})

    assert days["value"].to_list() == [8, 2, 0]


def test_several_periods_by_member_come_in_one_pass(shop: duckdb.DuckDBPyConnection) -> None:
    spans = [Span(date(2023, 1, 1), date(2023, 1, 1)), Span(date(2024, 3, 5), date(2024, 3, 7))]

    values = values_over(shop, CATALOGUE, "order_count", spans, by="channel")

    assert [(value.member, value.period_to.year, value.value) for value in values if value.member != "unknown"] == [
        ("web", 2023, 0), ("web", 2024, 10), ("shop", 2023, 1), ("shop", 2024, 5),
    ]  # fmt: skip
