"""A plan's orders within a budget: never above it, never worth less than a plain greedy, never above the bound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.rounding import expected_loss
from inventory.spending import Spending, spend


class Case:
    """Orders of a few series as random as the seed; some beyond the quantity that costs least, as a fill rate may ask for."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        count = int(random.integers(1, 7))
        self.need = np.sort(np.round(random.gamma(1.5, 6.0, (count, 25))), axis=1)
        self.ratio, self.shortage = random.uniform(0.4, 0.95, count), random.uniform(0.5, 5.0, count)
        self.pack = random.integers(1, 8, count).astype(float)
        self.smallest = self.pack * random.integers(1, 4, count)
        self.quantity = np.where(random.random(count) < 0.8, self.smallest + self.pack * random.integers(0, 6, count), 0.0)
        self.unit_cost = np.where(random.random(count) < 0.85, np.round(random.uniform(1, 20, count), 2), 0.0)
        self.wanted = float(self.quantity @ self.unit_cost)

    def spent(self, budget: float) -> tuple[np.ndarray, Spending]:
        return spend(
            self.quantity, self.need, self.ratio, shortage_cost=self.shortage, smallest=self.smallest, pack=self.pack,
            unit_cost=self.unit_cost, budget=budget,
        )  # fmt: skip

    def worth(self, quantity: np.ndarray) -> np.ndarray:
        """[series]; the expected cost that the quantities save."""
        saved = expected_loss(np.zeros_like(quantity), self.need, self.ratio) - expected_loss(quantity, self.need, self.ratio)
        return self.shortage / self.ratio * saved

    def greedy(self, budget: float) -> float:
        """What the packs save that are bought by worth per money, each where it still fits, in a loop that stands by itself."""
        steps = []
        for row in np.flatnonzero(self.quantity):
            levels = [0.0, *np.arange(self.smallest[row], self.quantity[row] + 0.5, self.pack[row])]
            worst = -np.inf
            for low, high in pairwise(levels):
                ends = [np.where(np.arange(len(self.quantity)) == row, level, 0.0) for level in (low, high)]
                gain = float(self.worth(ends[1])[row] - self.worth(ends[0])[row])
                cost = (high - low) * self.unit_cost[row]
                worst = max(-gain / cost if cost else -np.inf, worst)  # rounding must not put a pack before the one it stands on
                steps.append((worst, row, low, high, cost, gain))
        bought, left, value = dict.fromkeys(range(len(self.quantity)), 0.0), budget, 0.0
        closed = set()
        for _, row, low, high, cost, gain in sorted(steps):
            if row in closed or cost > left + 1e-6 or bought[row] != low:
                closed.add(row)
                continue
            bought[row], left, value = high, left - cost, value + gain
        return value


@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.1))
def test_a_budget_buys_no_less_than_a_plain_greedy_and_no_more_than_the_bound(seed: int, share: float) -> None:
    case = Case(seed)

    bought, told = case.spent(share * case.wanted)

    assert told.value == pytest.approx(float(case.worth(bought).sum()), abs=1e-6)
    assert case.greedy(share * case.wanted) - 1e-6 <= told.value <= told.value_bound + 1e-9
    assert told.spent_amount == pytest.approx(float(bought @ case.unit_cost))
    assert told.spent_amount <= share * case.wanted + 1e-6
    assert ((bought == 0) | (bought >= case.smallest)).all()
    assert (bought <= case.quantity).all()
    assert np.allclose(bought % case.pack, 0.0)


@given(seed=st.integers(0, 10_000))
def test_a_budget_for_all_orders_cuts_none(seed: int) -> None:
    case = Case(seed)

    bought, told = case.spent(case.wanted + 1.0)

    assert bought.tolist() == case.quantity.tolist()
    assert told.spent_amount == pytest.approx(told.wanted_amount)


def test_what_costs_nothing_is_bought_without_a_budget() -> None:
    case = Case(3)
    case.unit_cost[:] = 0.0

    bought, told = case.spent(0.0)

    assert bought.tolist() == case.quantity.tolist()
    assert told.spent_amount == 0.0
    assert 0.0 < told.value <= told.value_bound
