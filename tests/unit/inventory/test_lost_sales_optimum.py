"""Orders where demand is lost, against the exact optimum of known demand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from inventory.newsvendor import newsvendor_discrete
from inventory.policy import starting_ratio
from inventory.projection import need_quantile, project_needs
from tests.unit.inventory.lost_sales_dp import LostSales

TIMES_HOLDING = (1.2, 1.35, 1.5, 1.65, 1.8)  # p / (p + times h): a grid around the ratio that planning starts from


def poisson(mean: float, *, size: int) -> Any:
    law = stats.poisson.pmf(np.arange(size), mean)
    return law / law.sum()


def negative_binomial(mean: float, *, shape: int, size: int) -> Any:
    law = stats.nbinom.pmf(np.arange(size), shape, shape / (shape + mean))
    return law / law.sum()


# the first is a known optimum; the others to two digits, so that a changed solver shows; None where two digits say little
CASES = {
    "poisson 5, lead 2, p 4": (LostSales(poisson(5, size=25), 2, 1.0, 4.0, 28, 14), 4.395),
    "poisson 5, lead 1, p 9": (LostSales(poisson(5, size=25), 1, 1.0, 9.0, 28, 18), 5.44),
    "poisson 5, lead 2, p 19": (LostSales(poisson(5, size=25), 2, 1.0, 19.0, 34, 16), 7.66),
    "poisson 5, lead 3, p 9": (LostSales(poisson(5, size=25), 3, 1.0, 9.0, 34, 14), 6.53),
    "geometric 5, lead 2, p 4": (LostSales(negative_binomial(5, shape=1, size=120), 2, 1.0, 4.0, 60, 24), 10.24),
    "geometric 5, lead 1, p 9": (LostSales(negative_binomial(5, shape=1, size=120), 1, 1.0, 9.0, 70, 40), 14.51),
    "poisson 2, lead 2, p 9": (LostSales(poisson(2, size=16), 2, 1.0, 9.0, 18, 10), None),
    "negative binomial 3, lead 2, p 9": (LostSales(negative_binomial(3, shape=2, size=60), 2, 1.0, 9.0, 40, 18), None),
}


@pytest.fixture(params=list(CASES))
def shop(request: pytest.FixtureRequest) -> LostSales:
    return CASES[request.param][0]


@pytest.mark.parametrize("name", [name for name, (_, cost) in CASES.items() if cost is not None])
def test_the_optimum_is_the_known_one(name: str) -> None:
    shop, known = CASES[name]

    cost, orders = shop.optimum()

    assert known is not None
    assert cost == pytest.approx(known, abs=5e-4 if known == 4.395 else 5.1e-3)
    assert orders.max() < shop.order_limit  # nothing was cut off


def simulated_paths(shop: LostSales, *, count: int) -> Any:
    """Demand of the periods until the order is there and of its own, [path, period]: as many draws of each quantile as of any other."""
    generator = np.random.default_rng(7)
    ranks = np.stack([(generator.permutation(count) + 0.5) / count for _ in range(shop.lead_periods + 1)], axis=1)
    return np.searchsorted(np.cumsum(shop.law), ranks).astype(np.float32)


def kernel_needs(shop: LostSales, *, count: int) -> Any:
    """[state, path]: the need that planning projects from simulated demand, in every state of the pipeline."""
    paths = simulated_paths(shop, count=count)
    stock, behind = shop.states()
    needs = [
        project_needs(
            np.broadcast_to(paths, (len(rows), *paths.shape)),
            on_hand=stock[rows],
            arriving=np.vstack([np.zeros(len(rows)), behind[:, rows]]),
            arrives=shop.lead_periods,
            until=shop.lead_periods + 1,
            shortage="lost",
        ).need
        for rows in np.array_split(np.arange(len(stock)), max(1, len(stock) // 300))
    ]
    return np.concatenate(needs)


def test_orders_as_they_are_planned_are_within_half_a_percent_of_the_optimum_at_the_best_ratio_near_the_start(shop: LostSales) -> None:
    ratios = [shop.shortage_cost / (shop.shortage_cost + times * shop.holding_cost) for times in TIMES_HOLDING]
    needs = kernel_needs(shop, count=1_000)
    optimum, _ = shop.optimum()

    orders = [need_quantile(needs, ratio).astype(np.int64).reshape(shop.state_shape) for ratio in ratios]

    cost = min(shop.cost_of(np.minimum(one, shop.order_limit)) for one in orders)
    assert optimum <= cost + 1e-4
    assert cost <= 1.005 * optimum


def test_the_quantile_of_the_need_is_within_half_a_percent_where_its_law_is_known(shop: LostSales) -> None:
    ratios = [shop.shortage_cost / (shop.shortage_cost + times * shop.holding_cost) for times in TIMES_HOLDING]
    optimum, _ = shop.optimum()

    cost = min(shop.cost_of(shop.quantile_orders(ratio)) for ratio in ratios)

    assert optimum <= cost + 1e-4
    assert cost <= 1.005 * optimum


def test_the_starting_ratio_itself_is_within_one_and_a_half_percent(shop: LostSales) -> None:
    optimum, _ = shop.optimum()

    cost = shop.cost_of(shop.quantile_orders(starting_ratio(shop.holding_cost, shop.shortage_cost, shortage="lost")))

    assert cost <= 1.015 * optimum


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("poisson 5, lead 2, p 4", 0.11, 0.14), ("poisson 5, lead 3, p 9", 0.13, 0.16), ("geometric 5, lead 2, p 4", 0.18, 0.22)],
)
def test_the_textbook_base_stock_is_eleven_to_twenty_two_percent_dearer(name: str, least: float, most: float) -> None:
    shop, _ = CASES[name]
    level = newsvendor_discrete(
        shop.law, holding_cost=shop.holding_cost, shortage_cost=shop.shortage_cost, lead_periods=shop.lead_periods
    ).order_up_to_qty
    optimum, _ = shop.optimum()

    excess = shop.cost_of(shop.base_stock_orders(int(level))) / optimum - 1

    assert least <= excess <= most


def test_even_the_best_base_stock_is_three_to_six_percent_dearer() -> None:
    shop, _ = CASES["poisson 5, lead 2, p 4"]
    optimum, _ = shop.optimum()

    best = min(shop.cost_of(shop.base_stock_orders(level)) for level in range(8, 20))

    assert 0.03 <= best / optimum - 1 <= 0.06
