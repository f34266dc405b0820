from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from inventory.budget import BudgetCut, cap_by_budget


def cut(blocks: list[tuple[int, float, float]], budget: float) -> BudgetCut:
    item, cost, value = (np.array(column) for column in zip(*blocks, strict=True))
    return cap_by_budget(item.astype(np.int64), cost.astype(float), value.astype(float), budget=budget)


def blocks() -> Any:
    one = st.tuples(st.integers(0, 4), st.integers(1, 30), st.integers(-10, 60))
    return st.lists(one, min_size=1, max_size=14).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def test_the_units_of_the_highest_value_per_money_are_bought_first() -> None:
    found = cut([(0, 10, 30), (0, 10, 5), (1, 20, 50), (2, 40, 40)], 35)

    assert found.taken.tolist() == [True, False, True, False]
    assert (found.cost, found.value) == (30, 80)
    # the five that are left would buy an eighth of the last
    assert (found.bound, found.value_per_money) == (85, 1.0)


def test_enough_budget_buys_everything_that_is_worth_something() -> None:
    found = cut([(0, 10, 30), (1, 20, -1), (2, 40, 0)], 1000)

    assert found.taken.tolist() == [True, False, False]
    assert (found.value, found.bound, found.value_per_money) == (30, 30, 0.0)


def test_a_small_first_order_is_weighed_with_the_better_packs_behind_it() -> None:
    found = cut([(0, 10, 1), (0, 10, 39), (1, 20, 30)], 20)

    assert found.taken.tolist() == [True, True, False]


def test_a_first_order_that_only_pays_with_what_follows_is_not_bought_without_it() -> None:
    found = cut([(0, 10, -1), (0, 10, 39), (1, 20, 3)], 15)

    assert not found.taken.any()


@given(rows=blocks(), budget=st.integers(0, 200))
def test_no_more_is_spent_than_there_is_and_no_block_without_the_one_before(rows: list[tuple[int, float, float]], budget: int) -> None:
    found = cut(rows, budget)

    assert found.cost <= budget
    for _, places in groupby(range(len(rows)), key=lambda place: rows[place][0]):
        taken = [bool(found.taken[place]) for place in places]
        assert taken == sorted(taken, reverse=True)


@given(rows=blocks(), budget=st.integers(0, 200))
def test_the_bound_is_the_optimum_of_the_linear_relaxation(rows: list[tuple[int, float, float]], budget: int) -> None:
    found = cut(rows, budget)

    # each unit of a later block is bought no further than the one before: x[k + 1] <= x[k]
    chain = [[-1.0 if at == k else 1.0 if at == k + 1 else 0.0 for at in range(len(rows))] for k in range(len(rows) - 1) if rows[k][0] == rows[k + 1][0]]  # fmt: skip
    solved = linprog(
        [-value for _, _, value in rows], A_ub=[[cost for _, cost, _ in rows], *chain], b_ub=[budget, *[0.0] * len(chain)], bounds=(0, 1)
    )
    assert found.bound == pytest.approx(-solved.fun, abs=1e-7)
    assert found.value <= found.bound + 1e-9


@pytest.mark.parametrize(
    ("arrays", "budget", "message"),
    [
        (([0], [0.0], [1.0]), 5, "cost: has to be above 0"),
        (([0], [1.0], [float("nan")]), 5, "value: has to be finite"),
        (([0, 1], [1.0], [1.0]), 5, "of one length, got 2, 1 and 1"),
        (([0], [1.0], [1.0]), -1, "budget: cannot be -1"),
    ],
)
def test_what_cannot_be_weighed_is_refused(arrays: tuple[list[int], list[float], list[float]], budget: int, message: str) -> None:
    item, cost, value = (np.array(column) for column in arrays)

    with pytest.raises(ValueError, match=message):
        cap_by_budget(item, cost, value, budget=budget)
