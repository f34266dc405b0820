from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from inventory import Policy
from inventory.item_terms import read_items
from inventory.projection import need_quantile, project_needs


def cost_of_ratio(ratio: float, policy: Policy, *, rate: float = 5.0, series: int = 60) -> float:
    """Mean cost of a period under lost sales, where demand is known to be Poisson."""
    review, lead = policy.review_periods, policy.lead_periods
    demand = np.random.default_rng(1).poisson(rate, size=(40 * review, series))
    stock, arriving, cost = np.full(series, rate * (lead + review)), np.zeros((lead + review, series)), 0.0
    for period, wanted in enumerate(demand):
        if period % review == 0:
            paths = np.random.default_rng(period).poisson(rate, size=(1, 200, lead + review)).astype(np.float32)
            known = {"on_hand": stock, "arriving": arriving, "arrives": lead, "until": lead + review, "shortage": policy.shortage}
            arriving[lead] += need_quantile(project_needs(np.repeat(paths, series, axis=0), **known).need, ratio)
        stock = stock + arriving[0] - wanted
        arriving = np.vstack([arriving[1:], np.zeros((1, series))])
        cost += policy.shortage_cost * np.maximum(-stock, 0.0).mean() + policy.holding_cost * np.maximum(stock, 0.0).mean()
        stock = np.maximum(stock, 0.0)
    return cost / len(demand)


def test_the_ratio_of_costs_weighs_holding_until_the_next_review():
    policy = Policy(holding_cost=1, shortage_cost=9, review_periods=4, lead_periods=2)

    costs = {ratio: cost_of_ratio(ratio, policy) for ratio in (0.5, 0.7, policy.starting_ratio, 0.85)}

    assert costs[policy.starting_ratio] == min(costs.values())


def test_items_weigh_holding_until_the_next_review_too():
    keys = pl.DataFrame({"sku": ["a", "b"], "location_id": "main"})
    items = pl.DataFrame({"sku": ["b"], "holding_cost": [2.0]})

    ratio = read_items(keys, items, Policy(holding_cost=1, shortage_cost=9, review_periods=4, shortage="backorder")).ratio

    assert ratio.tolist() == [pytest.approx(9 / 13), pytest.approx(9 / 17)]


def test_costs_alone_give_the_ratio_that_is_started_from():
    lost, waiting = Policy(holding_cost=1, shortage_cost=4), Policy(holding_cost=1, shortage_cost=4, shortage="backorder")

    assert (lost.starting_ratio, waiting.starting_ratio) == (pytest.approx(4 / 5.5), 0.8)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"shortage": "maybe"}, "shortage: 'maybe'"),
        ({"critical_ratio": 1.2}, "critical_ratio"),
        ({"critical_ratio": float("nan")}, "critical_ratio"),
        ({"min_fill_rate": -0.1}, "min_fill_rate"),
        ({"pack_qty": 0}, "pack_qty"),
        ({"pack_qty": 1.5}, "pack_qty"),
        ({"holding_cost": -1}, "holding_cost"),
        ({"shortage_cost": float("inf")}, "shortage_cost"),
        ({"holding_cost": 0, "shortage_cost": 0}, "both are 0"),
        ({"lead_periods": -1}, "lead_periods"),
        ({"lead_periods": 20_000}, "unit"),
        ({"review_periods": 0}, "review_periods"),
        ({"review_periods": True}, "review_periods"),
        ({"min_order_qty": None}, "min_order_qty"),
        ({"max_order_qty": 5, "min_order_qty": 8}, "max_order_qty"),
        ({"max_order_qty": 5, "pack_qty": 6}, "max_order_qty"),
        ({"budget_amount": Decimal(-1)}, "budget_amount"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_the_name_of_its_field(wrong: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        Policy(**wrong)


def test_a_policy_never_changes():
    policy = Policy()

    with pytest.raises(FrozenInstanceError):
        policy.lead_periods = 3  # type: ignore[misc]


def test_numbers_of_an_array_are_taken_as_any_others():
    policy = Policy(lead_periods=np.int64(3), pack_qty=np.int32(6), holding_cost=np.float32(1), critical_ratio=np.float64(0.9))  # type: ignore[arg-type]

    assert (policy.lead_periods, policy.pack_qty, policy.holding_cost, policy.critical_ratio) == (3, 6, 1.0, 0.9)
