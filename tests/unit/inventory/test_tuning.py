"""Ratios chosen on the panel's own past."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import polars as pl
import pytest

from inventory import Policy, replay, tune_items, tune_policy


def panel_of(demand: np.ndarray) -> pl.DataFrame:
    count, months = demand.shape
    return pl.DataFrame(
        {
            "sku": np.repeat([f"s{row}" for row in range(count)], months),
            "location_id": "main",
            "demand_date": [date(2020 + number // 12, number % 12 + 1, 1) for number in range(months)] * count,
            "demand_qty": demand.ravel().astype(float),
            "is_censored": False,
        }
    )


@pytest.fixture(scope="module")
def shop() -> pl.DataFrame:
    return panel_of(np.random.default_rng(8).negative_binomial(2, 0.3, size=(6, 40)))


def test_a_dearer_shortage_is_tuned_to_a_higher_ratio(shop: pl.DataFrame):
    cheap = tune_policy(shop, Policy(shortage_cost=0.3), frequency="monthly")
    dear = tune_policy(shop, Policy(shortage_cost=4.0), frequency="monthly")

    assert cheap.critical_ratio is not None
    assert dear.critical_ratio is not None
    assert 0 < cheap.critical_ratio < dear.critical_ratio < 1


def test_a_fill_rate_asked_for_is_met_on_the_past(shop: pl.DataFrame):
    policy = Policy(shortage_cost=0.3, min_fill_rate=0.95)
    free, floored = (tune_policy(shop, one, frequency="monthly") for one in (dataclasses.replace(policy, min_fill_rate=None), policy))

    fill = replay(shop, {"free": free, "floored": floored}, start=date(2022, 6, 1), end=date(2023, 4, 1), frequency="monthly").frame[
        "fill_rate"
    ]

    assert fill[0] < 0.9 < fill[1]


def test_a_ratio_that_was_given_stays(shop: pl.DataFrame):
    assert tune_policy(shop, Policy(critical_ratio=0.6), frequency="monthly") == Policy(critical_ratio=0.6)


def test_tuning_is_repeatable_whatever_the_order_of_rows(shop: pl.DataFrame):
    shuffled = shop.sample(fraction=1, shuffle=True, seed=2)

    assert tune_policy(shop, Policy(), frequency="monthly") == tune_policy(shuffled, Policy(), frequency="monthly")


@pytest.mark.parametrize("demand", [np.ones((2, 12)), np.zeros((2, 60))])
def test_a_past_that_tells_nothing_leaves_the_ratio_of_costs(demand: np.ndarray):
    policy = Policy()

    assert tune_policy(panel_of(demand), policy, frequency="monthly").critical_ratio == policy.starting_ratio


def test_items_with_costs_of_their_own_move_by_one_step_together(shop: pl.DataFrame):
    items = pl.DataFrame(
        {"sku": [f"s{row}" for row in range(6)], "holding_cost": 1.0, "shortage_cost": [5.0, 9.0, 20.0, 50.0, 90.0, 150.0]}
    )

    tuned = tune_items(shop, Policy(), frequency="monthly", items=items)

    odds = tuned["critical_ratio"] / (1 - tuned["critical_ratio"])
    times = (odds / (items["shortage_cost"] / 1.5)).to_list()
    assert times == pytest.approx([times[0]] * 6)
    assert times[0] != pytest.approx(1.0)


def test_items_with_too_short_a_history_keep_the_ratios_of_their_costs(shop: pl.DataFrame):
    items = pl.DataFrame({"sku": ["s0"], "holding_cost": [1.0], "shortage_cost": [9.0]})

    tuned = tune_items(shop.filter(pl.col("demand_date") < date(2020, 9, 1)), Policy(), frequency="monthly", items=items)

    assert tuned["critical_ratio"].to_list() == [pytest.approx(9 / 10.5)]


def test_items_of_a_longer_review_start_from_holding_until_the_next_one(shop: pl.DataFrame):
    items = pl.DataFrame({"sku": ["s0"], "holding_cost": [1.0], "shortage_cost": [9.0]})
    short = shop.filter(pl.col("demand_date") < date(2020, 9, 1))

    tuned = tune_items(short, Policy(review_periods=4), frequency="monthly", items=items)

    assert tuned["critical_ratio"].to_list() == [pytest.approx(9 / 15)]


def test_items_that_a_plan_would_refuse_say_nothing_of_the_ratio(shop: pl.DataFrame):
    items = pl.DataFrame({"sku": [f"s{row}" for row in range(6)], "pack_qty": [0] * 5 + [1]})

    tuned = tune_policy(shop, Policy(), frequency="monthly", items=items)

    assert tuned == tune_policy(shop.filter(pl.col("sku") == "s5"), Policy(), frequency="monthly")
    with pytest.raises(ValueError, match="no series can be planned; s0: pack_qty is 0"):
        tune_policy(shop, Policy(), frequency="monthly", items=items[:5].vstack(items[:1].with_columns(sku=pl.lit("s5"))))
