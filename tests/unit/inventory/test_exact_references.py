"""Textbook examples, to the digits that are known; the instances are those of Snyder and Shen 2019 and of the papers."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from inventory.exact import best_order_batches, best_order_up_to, order_up_to_cost
from inventory.newsvendor import demand_over, expected_costs, newsvendor_discrete, newsvendor_normal, newsvendor_sample


def poisson(mean: float) -> Any:
    law = stats.poisson.pmf(np.arange(int(mean + 15 * math.sqrt(mean) + 15)), mean)
    return law / law.sum()


def test_it_reproduces_snyder_and_shen_example_4_3() -> None:
    decision = newsvendor_normal(holding_cost=0.18, shortage_cost=0.70, demand_mean_qty=50, demand_sd_qty=8)

    assert decision.order_up_to_qty == pytest.approx(56.60395592743389, rel=1e-14)
    assert decision.cost == pytest.approx(1.9976051931766445, rel=1e-12)


def test_a_base_stock_over_a_lead_time_reproduces_example_4_4() -> None:
    decision = newsvendor_normal(holding_cost=0.18, shortage_cost=0.70, demand_mean_qty=50, demand_sd_qty=8, lead_periods=4)

    assert decision.order_up_to_qty == pytest.approx(264.7668943741548, rel=1e-12)
    assert decision.cost == pytest.approx(4.466781004149578, rel=1e-12)


def test_poisson_demand_reproduces_example_4_7_without_its_fixed_cost() -> None:
    decision = newsvendor_discrete(poisson(6), holding_cost=1, shortage_cost=4)

    assert (decision.order_up_to_qty, decision.cost) == (8, pytest.approx(3.570106945770946, rel=1e-9))
    assert expected_costs(poisson(6), np.array([5]), holding_cost=1, shortage_cost=4)[0] == pytest.approx(6.590296024616344, rel=1e-9)


def test_any_law_of_whole_demand_reproduces_problem_4_7b() -> None:
    law = np.array([0, 0.25, 0.05, 0.1, 0.2, 0.15, 0.10, 0.10, 0.05])

    decision = newsvendor_discrete(law, holding_cost=500_000, shortage_cost=1_000_000)

    assert (decision.order_up_to_qty, decision.cost) == (5, pytest.approx(1_225_000))


def test_a_ratio_that_demand_meets_exactly_takes_the_lower_level() -> None:
    assert newsvendor_discrete(np.full(10, 0.1), holding_cost=1, shortage_cost=4).order_up_to_qty == 7


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.floats(0.1, 20))
def test_the_level_of_a_sample_is_that_of_its_law_and_none_costs_less(demand: list[int], shortage_cost: float) -> None:
    sample = np.array(demand, dtype=np.float64)

    found = newsvendor_sample(sample, holding_cost=1.0, shortage_cost=shortage_cost)

    every = expected_costs(np.bincount(demand) / len(demand), np.arange(31), holding_cost=1.0, shortage_cost=shortage_cost)
    assert found.cost == pytest.approx(every.min())
    assert found.order_up_to_qty in demand


@pytest.mark.parametrize(
    ("mean", "reorder_point", "order_up_to", "cost"),
    [(10, 6, 40, 35.0216), (15, 10, 49, 42.698), (20, 14, 62, 49.173), (21, 15, 65, 50.406), (23, 17, 52, 52.757), (25, 19, 56, 54.262),
     (51, 43, 110, 71.611), (64, 55, 74, 78.402), (75, 67, 86, 79.554)],
)  # fmt: skip
def test_order_up_to_reproduces_the_table_of_zheng_and_federgruen(mean: int, reorder_point: int, order_up_to: int, cost: float) -> None:
    # Poisson demand, h 1, p 9, K 64, no lead time
    found = best_order_up_to(poisson(mean), holding_cost=1, shortage_cost=9, order_cost=64)

    assert (found.reorder_point_qty, found.order_up_to_qty) == (reorder_point, order_up_to)
    assert found.cost == pytest.approx(cost, abs=5.1e-5 if mean == 10 else 5.1e-4)


def test_order_up_to_reproduces_snyder_and_shen_example_4_7() -> None:
    found = best_order_up_to(poisson(6), holding_cost=1, shortage_cost=4, order_cost=5)

    assert (found.reorder_point_qty, found.order_up_to_qty) == (4, 10)
    assert found.cost == pytest.approx(8.034111561471644, rel=1e-9)
    of_another = order_up_to_cost(
        poisson(6), reorder_point_qty=6, order_up_to_qty=18, holding_cost=1, shortage_cost=4, order_cost=5
    )  # fmt: skip
    assert of_another == pytest.approx(10.193798671644046, rel=1e-9)


def test_no_pair_beats_the_order_up_to_that_was_found_with_a_lead_time_and_lumpy_demand() -> None:
    law, costs = np.array([0.55, 0.1, 0.05, 0, 0.2, 0, 0, 0.1]), {"holding_cost": 1.0, "shortage_cost": 6.0, "order_cost": 8.0}

    found = best_order_up_to(law, **costs, lead_periods=2)

    pairs = [(low, high) for low, high in product(range(-4, 20), range(-3, 36)) if low < high]
    every = [order_up_to_cost(law, reorder_point_qty=low, order_up_to_qty=high, **costs, lead_periods=2) for low, high in pairs]
    assert found.cost == pytest.approx(min(every))
    assert pairs[int(np.argmin(every))] == (found.reorder_point_qty, found.order_up_to_qty)


def test_without_a_fixed_cost_order_up_to_is_the_base_stock() -> None:
    found = best_order_up_to(poisson(5), holding_cost=1, shortage_cost=4, order_cost=0, lead_periods=2)

    base = newsvendor_discrete(poisson(5), holding_cost=1, shortage_cost=4, lead_periods=2)
    assert found.order_up_to_qty == base.order_up_to_qty
    assert found.reorder_point_qty == base.order_up_to_qty - 1
    assert found.cost == pytest.approx(base.cost)


def test_batches_reproduce_snyder_and_shen_example_5_8() -> None:
    # Poisson 1.5 a period in continuous time, lead time 2, h 20, p 150, K 100
    found = best_order_batches(poisson(3.0), holding_cost=20, shortage_cost=150, order_cost=100, demand_mean_qty=1.5)

    assert (found.reorder_point_qty, found.batch_qty) == (3, 5)
    assert found.cost == pytest.approx(107.9235806331498, rel=1e-9)


@pytest.mark.parametrize(("batch", "least"), [(7, 28.241312842169155), (9, 34.264154469469503)])
def test_batches_of_a_given_size_are_never_dearer_than_the_points_of_problem_5_2(batch: int, least: float) -> None:
    # its points are 6 and 3; the best ones for these batches may be others
    found = best_order_batches(poisson(6.0), holding_cost=4, shortage_cost=28, order_cost=4, demand_mean_qty=12, batch_qty=batch)

    assert found.batch_qty == batch
    assert found.cost <= least + 1e-9


def test_a_law_that_is_none_and_costs_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        demand_over(np.array([0.5, 0.4]), periods=1)
    with pytest.raises(ValueError, match="shortage_cost: has to be positive"):
        newsvendor_discrete(np.array([0.5, 0.5]), holding_cost=1.0, shortage_cost=0.0)
    with pytest.raises(ValueError, match="demand is always 0"):
        best_order_up_to(np.array([1.0]), holding_cost=1.0, shortage_cost=1.0, order_cost=1.0)
    with pytest.raises(ValueError, match="at least one, all finite"):
        newsvendor_sample(np.array([np.nan]), holding_cost=1.0, shortage_cost=1.0)
