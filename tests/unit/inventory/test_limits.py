"""A supplier's minimum is reached with what pays most, and a budget buys it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from inventory.limits import cut_to_budget, top_up
from inventory.reorder import plan_reorder
from inventory.reorder_decision import Reorder
from inventory.schema import LeadTime, OrderTerms, Position, ReorderPolicy


def reorder(
    rate: float, *, cost: int = 1000, price: int | None = 1600, pack: int = 1, most: int | None = None, on_hand: int = 0
) -> Reorder:
    found = plan_reorder(
        np.random.default_rng(3).poisson(rate, size=(200, 20)).astype(np.float32),
        position=Position(on_hand),
        lead_time=LeadTime(np.array([5]), "as promised"),
        terms=OrderTerms(cost, price, order_multiple=pack, max_order_qty=most),
        policy=ReorderPolicy(0.95, 7, 0.25),
        as_of=date(2025, 6, 30),
    )
    assert isinstance(found, Reorder)
    return found


def amount(*reorders: Reorder) -> int:
    return sum(one.rounded.qty * one.terms.unit_cost_amount for one in reorders)


def test_a_supplier_s_minimum_is_reached_with_whole_packs_and_no_more_than_it_takes() -> None:
    orders = [reorder(4.0, pack=6), reorder(2.0, pack=1)]

    found = top_up(orders, minimum_amount=amount(*orders) + 20_000)

    raised = sum((order.qty - orders[place].rounded.qty) * 1000 for place, order in found.orders.items())
    assert 20_000 <= raised < 20_000 + 6_000
    assert all(order.qty % orders[place].terms.order_multiple == 0 for place, order in found.orders.items())
    assert {order.binding_constraint for order in found.orders.values()} == {"supplier_minimum"}
    assert found.gap_amount == 0


def test_what_sells_sooner_is_raised_before_what_lies_longer() -> None:
    orders = [reorder(8.0), reorder(0.5)]

    found = top_up(orders, minimum_amount=amount(*orders) + 5_000)

    assert set(found.orders) == {0}


@pytest.mark.parametrize("order", [reorder(1.0), reorder(4.0, most=30)])
def test_a_minimum_that_only_dead_stock_would_reach_is_said_and_not_bought(order: Reorder) -> None:
    found = top_up([order], minimum_amount=10_000_000)

    assert found.orders == {}
    assert found.gap_amount == 10_000_000 - amount(order)


def test_a_minimum_that_is_reached_already_raises_nothing() -> None:
    order = reorder(4.0)

    found = top_up([order], minimum_amount=amount(order))

    assert (found.orders, found.gap_amount) == ({}, 0)


def test_a_budget_goes_to_what_saves_most_for_its_money() -> None:
    orders = [reorder(4.0, price=1100), reorder(4.0, price=1900), reorder(4.0, price=None)]

    cuts, certificate = cut_to_budget(orders, budget_amount=amount(orders[1]))

    # the dear margin is bought whole, or nearly so; without a margin nothing is bought while the others want more
    assert certificate is not None
    assert cuts[2].qty == 0
    assert (cuts[1].qty if 1 in cuts else orders[1].rounded.qty) > 0.7 * orders[1].rounded.qty
    assert certificate.cost <= amount(orders[1])
    assert certificate.value <= certificate.bound < 1.01 * certificate.value


def test_within_the_budget_nothing_is_cut() -> None:
    orders = [reorder(4.0), reorder(2.0, price=None)]

    assert cut_to_budget(orders, budget_amount=amount(*orders)) == ({}, None)
