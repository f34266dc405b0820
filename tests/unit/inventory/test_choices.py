"""Other quantities of an order, on the courses that it was reckoned on."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.choices import OrderChoice, choice_at, weigh_choices
from inventory.protection_demand import Courses, units_to_bring
from inventory.schema import LeadTime, Position, UnitMoney

AS_OF = date(2026, 11, 20)
MONEY = UnitMoney(shortage_amount=300.0, holding_amount=2.0, needs=None)


def courses(demand: np.ndarray, *, on_hand: int) -> Courses:
    lead = LeadTime(np.array([5]), "promised")
    return Courses.follow(demand, position=Position(on_hand), lead_time=lead, review_period_days=5, as_of=AS_OF, seed=0)


def test_half_of_what_is_needed_misses_the_other_half() -> None:
    """Two a day use up 10 units when the order comes; until the next one comes, 10 more are wanted."""
    steady = courses(np.full((4, 20), 2), on_hand=10)

    found = weigh_choices(steady, qty=10, need=units_to_bring(steady), money=MONEY)

    assert [(one.qty, one.enough_rate, one.lost_mean_qty, one.lost_amount) for one in found] == [
        (0, 0.0, 10.0, 3000.0), (5, 0.0, 5.0, 1500.0), (10, 1.0, 0.0, 0.0), (15, 1.0, 0.0, 0.0), (20, 1.0, 0.0, 0.0),
    ]  # fmt: skip
    assert found[0].holding_amount == 0.0
    assert found[2].holding_amount == pytest.approx(2.0 * (8 + 6 + 4 + 2))  # at the ends of its five days


@given(st.integers(1, 60), st.integers(0, 40), st.integers(0, 9))
def test_more_is_enough_more_often_loses_less_and_is_held_longer(qty: int, on_hand: int, seed: int) -> None:
    demand = np.random.default_rng(seed).poisson(3, (40, 30))
    drawn = courses(demand, on_hand=on_hand)

    found = weigh_choices(drawn, qty=qty, need=units_to_bring(drawn), money=MONEY)

    for name, sign in (("enough_rate", 1), ("lost_mean_qty", -1), ("holding_amount", 1), ("lost_amount", -1)):
        values = [sign * getattr(one, name) for one in found]
        assert all(later >= earlier - 1e-6 for earlier, later in pairwise(values)), name


def test_between_two_quantities_lies_a_straight_line_and_beyond_the_largest_nothing() -> None:
    known = (OrderChoice(0, 0.2, 8.0, 0.0, None), OrderChoice(10, 0.6, 4.0, 50.0, None))

    assert choice_at(known, 5) == OrderChoice(5, pytest.approx(0.4), pytest.approx(6.0), pytest.approx(25.0), None)
    assert choice_at(known, 11) is None
    assert choice_at((), 5) is None
