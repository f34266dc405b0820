"""What moved, in words: parts that add up as they are shown, and how unusual it is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dashboards.components.movers_panel import drivers, headline, mover_rows, usual
from pipelines.stores.contributions import Member, break_down
from pipelines.stores.metrics_windows import Span
from pipelines.stores.movers import Mover
from tests.unit.test_metrics_language import CATALOGUE

RATE = replace(CATALOGUE["cancellation_rate"], label="Cancellation rate")
MONEY = replace(CATALOGUE["average_order_value"], label="Net sales")
DAYS = Span(date(2026, 11, 1), date(2026, 11, 28))
BY_LOCATION = break_down("location", [Member("N", 10, 100, 16, 100), Member("S", 30, 300, 30, 300), Member("E", 10, 100, 11, 100)], "ratio")


def mover(**facts: Any) -> Mover:
    common: dict[str, Any] = {
        "metric": RATE, "period": DAYS, "compared": DAYS, "currency_code": None, "value": 0.114, "before": 0.1, "change": 0.014,
        "change_rate": 0.14, "unusual": 2.3, "past_count": 24, "breakdown": BY_LOCATION,
    }  # fmt: skip
    return Mover(**common | facts)


def test_a_rates_parts_are_told_in_points_and_add_up() -> None:
    assert headline(mover()) == "Cancellation rate +1.4 pp"
    assert drivers(mover(), {"N": "North"}) == "By location: North +1.2, 2 others +0.2 pp"


@pytest.mark.parametrize(
    ("change", "said"), [(10157.4, "Net sales EUR +10,157 (+10.2 %)"), (-1.283, "Net sales EUR -1.28 (0.0 %)"), (0.001, "Net sales EUR 0.00 (0.0 %)")]
)  # fmt: skip
def test_money_is_told_with_its_share_and_to_the_cent_where_it_is_little(change: float, said: str) -> None:
    assert headline(mover(metric=MONEY, currency_code="EUR", change=change, before=100_000.0, breakdown=None)) == said


def test_a_change_that_follows_size_is_said_to_be_spread() -> None:
    even = break_down("location", [Member("N", 10, 0, 20, 0), Member("S", 100, 0, 200, 0)], "sum")

    assert drivers(mover(metric=MONEY, currency_code="EUR", change=110.0, breakdown=even), {}) == (
        "Spread over all, no dimension stands out. By location: S +100, 1 other +10 EUR"
    )


@pytest.mark.parametrize(
    ("unusual", "said"),
    [
        (-2.34, "unusual: 2.3 standard deviations from its usual change, by 24 earlier periods"),
        (3.6, "very unusual: 3.6 standard deviations from its usual change, by 24 earlier periods"),
        (0.5, "within what is usual: 0.5 standard deviations from its usual change, by 24 earlier periods"),
        (math.inf, "very unusual: it has never changed before, by 24 earlier periods"),
        (None, ""),
    ],
)
def test_how_unusual_is_a_word_with_its_figure(unusual: float | None, said: str) -> None:
    assert usual(mover(unusual=unusual)) == said


def test_the_export_holds_every_part_with_rate_and_weight() -> None:
    rows = mover_rows([mover(), mover(metric=MONEY, change=None, breakdown=None, note="why not")])

    assert rows["member"].to_list() == [None, "N", "2 others", None]
    assert rows["change"].to_list() == [0.014, pytest.approx(0.012), pytest.approx(0.002), None]
    assert rows.row(1, named=True)["rate_part"] == pytest.approx(0.012)
    assert rows["note"].to_list()[-1] == "why not"
