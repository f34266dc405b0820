"""Which metrics moved, in what order, and who drove it, on orders that can be counted by hand."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from pipelines.stores.contributions import FEWEST_PAST
from pipelines.stores.movers import find_movers, why_whole
from tests.unit.test_metrics_language import AS_OF, CATALOGUE, add_order, conn  # noqa: F401 - a fixture

if TYPE_CHECKING:
    import duckdb


@pytest.fixture
def shop(conn: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:  # noqa: F811
    """Ten weeks of about ten orders each on the web and in the shop; in the last week the shop has ten more."""
    for week in range(10):
        day = (AS_OF - timedelta(days=7 * week + 6)).isoformat()
        for i in range(10 + week % 2):
            add_order(conn, day, "A" if i % 2 else "B", channel="web" if i < 5 else "shop", amount=1000 + 100 * (week % 3))
        add_order(conn, day, reason="late", channel="web" if week % 2 else "shop")
    for i in range(10):
        add_order(conn, AS_OF.isoformat(), "A" if i % 2 else "B", channel="shop")
    return conn


def test_the_most_unusual_change_comes_first_with_who_drove_it(shop: duckdb.DuckDBPyConnection) -> None:
    first, second, last = find_movers(shop, CATALOGUE, ["stock", "average_order_value", "order_count"], days=7)

    assert [first.metric.name, second.metric.name, last.metric.name] == ["order_count", "average_order_value", "stock"]
    assert (first.value, first.before, first.change, first.past_count) == (21, 12, 9, 8)
    assert first.unusual is not None
    assert abs(first.unusual) > abs(second.unusual or 0)
    assert first.breakdown is not None
    assert (first.breakdown.dimension, [part.name for part in first.breakdown.named]) == ("channel", ["shop"])
    assert (first.breakdown.named[0].total, first.breakdown.rest) == (Fraction(10), Fraction(-1))
    assert (first.is_better, first.stands_out) == (True, True)
    assert (last.change, last.note) == (None, "there is no earlier period to compare with")


def test_a_reason_is_a_share_and_its_parts_add_up_to_the_rates_change(shop: duckdb.DuckDBPyConnection) -> None:
    (mover,) = find_movers(shop, CATALOGUE, ["cancellation_rate"], days=7, where={"channel": ["shop"]})

    assert mover.breakdown is not None
    assert (mover.value, mover.before) == (1 / 16, 0.0)
    assert float(sum(part.total for part in mover.breakdown.named) + mover.breakdown.rest) == mover.change == 1 / 16
    assert mover.is_better is False


def test_with_few_earlier_changes_nothing_is_called_unusual_and_that_is_said(shop: duckdb.DuckDBPyConnection) -> None:
    (mover,) = find_movers(shop, CATALOGUE, ["order_count"], days=14)

    assert mover.past_count < FEWEST_PAST
    assert (mover.change, mover.unusual, mover.note) == (10, None, "earlier changes to judge by: only 3")


def test_a_year_the_data_do_not_reach_is_no_comparison(shop: duckdb.DuckDBPyConnection) -> None:
    (mover,) = find_movers(shop, CATALOGUE, ["order_count"], days=7, against="last_year")

    assert (mover.value, mover.change) == (21, None)
    assert mover.compared.last == date(2023, 3, 30)


def test_what_cannot_be_narrowed_or_split_says_so(shop: duckdb.DuckDBPyConnection) -> None:
    people, stock = find_movers(shop, CATALOGUE, ["customer_count", "stock"], days=7, where={"channel": ["web"]})

    assert (people.breakdown, people.note) == (None, None)  # nobody came or went, so there is nothing to split
    assert stock.note == "cannot be narrowed to channel"
    assert why_whole(CATALOGUE["customer_count"]) == "who counts for two members counts once in the whole, so its change is not split"
    assert why_whole(CATALOGUE["cancellation_rate"]) is None
