"""Several suppliers are weighed by price, holding and what runs out meanwhile."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from inventory.protection_demand import cumulative_demand
from inventory.schema import LeadTime, OrderTerms, Position, ReorderPolicy
from inventory.suppliers import Offer, Weighed, choose_offer, loser_words, weigh_offers


def offer(name: str, *, days: int, cost: int, qty: int = 100, price: int | None = 1600) -> Offer:
    return Offer(name, LeadTime(np.array([days]), "as promised"), OrderTerms(cost, price), qty)


def weighed(*offers: Offer, free: int) -> list[Weighed]:
    cumulative = cumulative_demand(np.full((20, 30), 10.0, dtype=np.float32))
    return weigh_offers(cumulative, offers, position=Position(free), policy=ReorderPolicy(0.95, 7, 0.25), as_of=date(2025, 6, 30))


def test_an_offer_costs_its_premium_holding_and_the_margin_lost() -> None:
    slow, fast = weighed(offer("slow", days=10, cost=1000), offer("fast", days=2, cost=1100), free=40)

    # the slow one misses days 5 to 10 and the last ten, the fast one the last sixteen: as much, at the margin of the lowest price
    assert (slow.lost_mean_qty, fast.lost_mean_qty) == (160, 160)
    held_slow, held_fast = 30 + 20 + 10 + sum(range(0, 100, 10)), 30 + 20 + sum(range(10, 120, 10))
    assert slow.cost_amount == pytest.approx(held_slow * 1000 * 0.25 / 365 + 160 * 600)
    assert fast.cost_amount == pytest.approx(100 * 100 + held_fast * 1100 * 0.25 / 365 + 160 * 600, rel=0.01)


@pytest.mark.parametrize(("free", "winner"), [(0, "fast"), (200, "slow")])
def test_a_faster_supplier_is_worth_its_price_where_stock_runs_out_meanwhile(free: int, winner: str) -> None:
    found = weighed(offer("slow", days=14, cost=1000, qty=300), offer("fast", days=2, cost=1100, qty=300), free=free)

    assert choose_offer(found).offer.supplier_id == winner


def test_a_small_gain_does_not_overrule_the_first_priority() -> None:
    first, second = weighed(offer("first", days=5, cost=1000), offer("second", days=5, cost=990), free=40)

    assert choose_offer([first, second]) is first
    assert loser_words(second, first, amount="EUR 9") == "Cheaper by EUR 9 in all, as fast; too little to overrule the first priority."


@pytest.mark.parametrize(("days", "speed"), [(2, "3 days faster"), (6, "1 day slower")])
def test_the_loser_is_told_by_money_and_days(days: int, speed: str) -> None:
    first, second = weighed(offer("first", days=5, cost=1000), offer("second", days=days, cost=1200), free=90)

    words: Any = loser_words(second, first, amount="EUR 40")
    assert words == f"Dearer by EUR 40 in all, {speed}."
