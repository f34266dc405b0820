"""Slow series with a least order of many periods' demand: ordered where the cycle pays, never where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from inventory import Policy, plan_orders, replay, tune_policy

if TYPE_CHECKING:
    from inventory.policy import ReplayState

MONDAY = date(2022, 1, 3)
START, END = MONDAY + timedelta(weeks=70), MONDAY + timedelta(weeks=109)
IN_TWELVES = Policy(pack_qty=6, min_order_qty=12)  # h .2, p 1, lead 2


@dataclass(frozen=True)
class TwelveAt:
    """Twelve where stock and what is on its way are at most a level."""

    level: int

    def order(self, state: ReplayState) -> Any:
        return np.where(state.on_hand + state.arriving.sum(axis=0) <= self.level, 12.0, 0.0)


@cache
def shop(rate: float) -> pl.DataFrame:
    demand = np.random.default_rng(1).poisson(rate, size=(8, 110)).astype(float)
    return pl.DataFrame(
        {
            "sku": np.repeat([f"s{row}" for row in range(8)], 110),
            "location_id": "main",
            "demand_date": [MONDAY + timedelta(weeks=week) for week in range(110)] * 8,
            "demand_qty": demand.ravel(),
            "is_censored": False,
        }
    )


def nothing_there() -> pl.DataFrame:
    return pl.DataFrame({"sku": [f"s{row}" for row in range(8)], "location_id": "main", "on_hand_qty": [0.0] * 8})


def test_a_least_order_of_six_weeks_costs_hardly_more_than_the_best_level_to_order_it_at() -> None:
    rules: dict[str, Any] = {f"at {level}": TwelveAt(level) for level in range(-1, 9)}

    found = replay(shop(1.9), {"ours": IN_TWELVES} | rules, start=START, end=END, frequency="weekly")

    costs = dict(found.frame.select("policy", "cost").iter_rows())
    assert costs["ours"] <= 1.05 * min(costs.values())
    assert costs["at -1"] > 1.3 * costs["ours"]  # never to order, as one week alone would have it


# waiting a week loses 1 at most; the cycle of 12 units at 1 a week costs .2 x (12 + 1) / 2 = 1.3 a week
def test_a_least_order_of_twelve_weeks_that_never_pays_is_not_placed() -> None:
    plan = plan_orders(shop(1.0), nothing_there(), None, IN_TWELVES, frequency="weekly").frame

    assert plan["order_qty"].to_list() == [0.0] * 8
    assert plan["reason"][0].endswith("but a whole pack saves less until the next review than it costs to hold.")


def test_the_tuned_ratio_costs_hardly_more_than_any_other_on_the_weeks_it_was_tuned_on() -> None:
    tuned = tune_policy(shop(1.9), IN_TWELVES, frequency="weekly")
    tried = {f"{ratio}": Policy(pack_qty=6, min_order_qty=12, critical_ratio=ratio) for ratio in (0.5, 0.6, 0.7, 0.77, 0.83, 0.88, 0.92)}

    weeks = MONDAY + timedelta(weeks=84), MONDAY + timedelta(weeks=109)  # the window of `tune_policy`, its warm-up aside
    found = replay(shop(1.9), {"tuned": tuned} | tried, start=weeks[0], end=weeks[1], frequency="weekly")

    costs = dict(found.frame.select("policy", "cost").iter_rows())
    assert costs["tuned"] <= 1.05 * min(costs.values())
