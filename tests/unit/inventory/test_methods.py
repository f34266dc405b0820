"""Each method's quantity, its steps and its money."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.explain import explain
from inventory.money import unit_money
from inventory.reorder import plan_reorder
from inventory.reorder_decision import NoOrder, Reorder
from inventory.schema import Inbound, LeadTime, OrderTerms, Position, ReorderPolicy

AS_OF = date(2025, 6, 30)
LOST = ReorderPolicy(service_level=0.95, review_period_days=7, holding_cost_rate=0.25)
TERMS = OrderTerms(unit_cost_amount=1000, list_price_amount=1600)
METHODS = {
    "path_newsvendor": LOST,
    "order_up_to": replace(LOST, method="order_up_to"),
    "reorder_point": replace(LOST, method="reorder_point", max_qty=300),
    "reorder_quantity": replace(LOST, method="reorder_quantity", reorder_qty=25),
    "min_max": replace(LOST, method="min_max", min_qty=80, max_qty=200),
    "days_of_cover": replace(LOST, method="days_of_cover", cover_days=30),
}


def poisson_paths(rate: float, *, days: int = 40, paths: int = 400) -> Any:
    return np.random.default_rng(2).poisson(rate, size=(paths, days)).astype(np.float32)


def certain_paths(rate: float) -> Any:
    return np.full((100, 40), rate, dtype=np.float32)


def planned(
    paths: Any, policy: ReorderPolicy, *, on_hand: int = 50, terms: OrderTerms = TERMS, shelf_life_days: int | None = None, **stock: Any
) -> Reorder | NoOrder:
    return plan_reorder(
        paths, position=Position(on_hand, **stock), lead_time=LeadTime(np.array([12]), "as promised"), terms=terms, policy=policy,
        as_of=AS_OF, shelf_life_days=shelf_life_days,
    )  # fmt: skip


def reorder(*args: Any, **kwargs: Any) -> Reorder:
    found = planned(*args, **kwargs)
    assert isinstance(found, Reorder)
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stock", [{}, {"on_hand": 4, "committed_qty": 9}, {"inbound": (Inbound(AS_OF + timedelta(days=5), 8),)}])
def test_the_steps_of_every_method_recompute_its_quantity(method: str, stock: dict[str, Any]) -> None:
    terms = replace(TERMS, order_multiple=6, min_order_qty=12)

    found = reorder(poisson_paths(4.0), METHODS[method], terms=terms, **stock)

    steps = explain(found)
    assert [step.name for step in steps[-2:]] == ["Raw quantity", "Recommended quantity"]
    assert sum(step.qty for step in steps[:-2]) == pytest.approx(found.raw_qty)
    assert steps[-2].qty == found.raw_qty
    assert steps[-1].qty == max(12, -(-found.raw_qty // 6) * 6)


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("path_newsvendor", 70),  # 50 last five days; of the 140 missed until day 19, 70 are missed before day 12
        ("order_up_to", 140),
        ("reorder_point", 250),
        ("reorder_quantity", 150),  # 140 short of the reorder point of 190
        ("min_max", 150),
        ("days_of_cover", 250),
    ],
)
def test_a_certain_demand_gives_each_method_its_quantity(method: str, raw: int) -> None:
    assert reorder(certain_paths(10.0), METHODS[method]).raw_qty == raw


@pytest.mark.parametrize(
    ("method", "on_hand"), [("min_max", 81), ("reorder_point", 191), ("reorder_quantity", 191), ("path_newsvendor", 190)]
)
def test_above_the_reorder_point_nothing_is_ordered_and_the_reason_says_how_long_stock_lasts(method: str, on_hand: int) -> None:
    found = planned(certain_paths(10.0), METHODS[method], on_hand=on_hand)

    assert isinstance(found, NoOrder)
    assert (found.kind, found.lasts_days) == ("enough_stock", on_hand // 10)
    assert found.reason.startswith("Enough stock: ")


def test_what_customers_are_owed_is_ordered_where_sales_are_lost_too() -> None:
    owed, none = (reorder(certain_paths(10.0), LOST, on_hand=0, committed_qty=qty) for qty in (9, 0))

    assert owed.raw_qty == none.raw_qty + 9


def test_money_decides_below_the_service_level_and_never_goes_below_the_median() -> None:
    ratios = [
        reorder(poisson_paths(4.0), LOST, on_hand=0, terms=replace(TERMS, list_price_amount=1000 + margin)).target.ratio
        for margin in (600, 40, 1)
    ]

    # h = 1000 x .25 x 7 / 365 = 4.79 a review period: 600 / (600 + 7.19), 40 / (40 + 7.19), 1 / (1 + 7.19)
    assert ratios == [0.95, pytest.approx(0.8476, abs=1e-4), 0.5]


def test_a_higher_share_of_lost_sales_never_orders_less() -> None:
    terms = replace(TERMS, list_price_amount=1040)

    raws = [reorder(poisson_paths(4.0), replace(LOST, lost_sales_share=share), on_hand=0, terms=terms).raw_qty for share in (0.3, 0.6, 1.0)]

    assert raws == sorted(raws)
    assert raws[0] < raws[-1]


@pytest.mark.parametrize(
    ("price", "needs"), [(None, "a list price in the supplier's currency"), (900, "a list price above the supplier's price")]
)
def test_without_a_margin_no_cost_is_stated_and_what_it_needs_is(price: int | None, needs: str) -> None:
    found = reorder(poisson_paths(4.0), LOST, terms=replace(TERMS, list_price_amount=price))

    assert found.money.needs == needs
    assert (found.cost_if_ignored_p50_amount, found.cost_if_ignored_p90_amount, found.cost_if_accepted_amount) == (None, None, None)
    assert f"not available: needs {needs}" in explain(found)[1].note


def test_the_shortage_cost_is_the_margin_times_the_share_that_is_lost() -> None:
    money = unit_money(TERMS, replace(LOST, lost_sales_share=0.4))

    assert money.shortage_amount == pytest.approx(240)
    assert money.holding_amount == pytest.approx(1000 * 0.25 / 365)


def test_accepting_costs_what_is_lost_all_the_same_when_the_largest_order_is_too_small() -> None:
    found = reorder(certain_paths(10.0), LOST, terms=replace(TERMS, max_order_qty=30))

    # 70 are missed in the review period, 30 come
    assert found.cost_if_ignored_p50_amount == 70 * 600
    assert found.cost_if_accepted_amount == 40 * 600 + found.holding_cost_amount


@pytest.mark.parametrize(("days", "qty"), [(30, 72), (5, 48), (4, 36)])
def test_no_more_is_ordered_than_sells_within_the_shelf_life(days: int, qty: int) -> None:
    terms = replace(TERMS, order_multiple=12)

    found = reorder(certain_paths(10.0), LOST, terms=terms, shelf_life_days=days)

    assert found.rounded.qty == qty
    assert (found.rounded.binding_constraint == "shelf_life") == (qty < 72)


def test_an_item_whose_smallest_order_would_expire_is_not_ordered_and_says_so() -> None:
    found = planned(certain_paths(10.0), LOST, terms=replace(TERMS, min_order_qty=60), shelf_life_days=4)

    assert isinstance(found, NoOrder)
    assert found.kind == "shelf_life"
    assert found.reason == "Within its shelf life 40 of a new order would sell in the median, and the smallest order is 60."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "min_max", "min_qty": 5}, "max_qty: the method min_max needs it"),
        ({"method": "reorder_quantity"}, "reorder_qty: the method reorder_quantity needs it"),
        ({"method": "days_of_cover", "cover_days": 0}, "have to be at least 1"),
        ({"method": "min_max", "min_qty": 5, "max_qty": 4}, "max_qty: 4 is below 5"),
        ({"lost_sales_share": 1.1}, "lost_sales_share: 1.1 is no share"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LOST, **changes)


@given(on_hand=st.integers(0, 200), more=st.integers(1, 60), method=st.sampled_from(sorted(METHODS)))
def test_more_stock_never_orders_more(on_hand: int, more: int, method: str) -> None:
    paths = poisson_paths(3.0, days=19, paths=60)

    less, larger = (planned(paths, METHODS[method], on_hand=stock) for stock in (on_hand, on_hand + more))

    assert (larger.raw_qty if isinstance(larger, Reorder) else 0) <= (less.raw_qty if isinstance(less, Reorder) else 0)
