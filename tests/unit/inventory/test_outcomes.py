from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.schema import FloatArray
from inventory.outcomes import Measured, Senders, StockPath, UnitMoney, measure_outcomes, scorecard

MARGIN, HOLDING = 300.0, 2.0


def measured(
    *, opening: float, closing: list[float], demand: list[float], received: dict[int, float] | None = None, proposed: dict[int, float],
    is_accepted: bool = True, expected: float = 0.0, without: dict[int, float] | None = None, saves_holding: bool = False,
) -> Measured:  # fmt: skip
    """One decision; stock is censored where it ended a day at 0 and demand was to be expected. `without` makes it a change of an order."""
    days = len(closing)
    return measure_outcomes(
        path_of(opening=opening, closing=closing, demand=demand, expected=expected),
        received=units(received or {}, days),
        proposed=units(proposed, days),
        is_accepted=np.array([is_accepted]),
        money=UnitMoney(np.array([MARGIN]), np.array([HOLDING])),
        without=None if without is None else units(without, days),
        saves_holding=np.array([saves_holding]),
    )


def path_of(*, opening: float, closing: list[float], demand: list[float], expected: float = 0.0) -> StockPath:
    """The days of one decision at one place."""
    days = len(closing)
    return StockPath(
        opening=np.array([opening]), closing=column(closing), demand=column(demand), expected=np.full((days, 1), expected),
        is_censored=column(closing) <= 0, is_in_window=np.ones((days, 1), dtype=np.bool_),
    )  # fmt: skip


def column(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)[:, None]


def units(by_day: dict[int, float], days: int) -> FloatArray:
    return column([by_day.get(day, 0.0) for day in range(days)])


def test_an_order_that_arrived_in_time_averted_what_would_have_been_lost() -> None:
    # 4 at first, 2 a day, 10 come on the third day: without them the third to fifth day lose 2 each
    found = measured(opening=4, closing=[2, 0.001, 8, 6, 4], demand=[2, 2, 2, 2, 2], received={2: 10}, proposed={2: 10})

    assert found.verdict[0] == "averted"
    assert found.averted_qty[0] == pytest.approx(6, abs=0.01)
    assert found.averted_margin_amount[0] == pytest.approx(6 * MARGIN, rel=0.01)
    assert found.excess_unit_days[0] == pytest.approx(8 + 6 + 4, abs=0.01)
    assert found.value_added_amount[0] == 0


def test_an_order_that_nothing_would_have_been_lost_without_was_unneeded() -> None:
    found = measured(opening=20, closing=[18, 26, 24], demand=[2, 2, 2], received={1: 10}, proposed={1: 10})

    assert (found.verdict[0], found.averted_qty[0], found.excess_unit_days[0]) == ("unneeded", 0, 20)
    assert found.excess_cost_amount[0] == 20 * HOLDING


def test_an_order_that_came_after_the_units_were_missing_was_too_late() -> None:
    found = measured(opening=2, closing=[0, 0, 0, 8], demand=[2, 0, 0, 2], received={3: 10}, proposed={1: 10}, expected=2)

    assert (found.verdict[0], found.lost_qty[0]) == ("too_late", 4)


def test_an_order_that_was_too_small_was_insufficient() -> None:
    found = measured(opening=2, closing=[0.1, 0, 0, 0], demand=[1.9, 2, 0, 0], received={1: 2}, proposed={1: 2}, expected=2)

    assert found.verdict[0] == "insufficient"
    assert found.lost_with_qty[0] == pytest.approx(4, abs=0.2)


def test_rejecting_what_was_needed_cost_the_margin_of_the_units_it_would_have_brought() -> None:
    found = measured(opening=2, closing=[0, 0, 0], demand=[2, 0, 0], proposed={1: 10}, is_accepted=False, expected=2)

    assert (found.verdict[0], found.averted_qty[0]) == ("averted", 4)
    assert found.value_added_amount[0] == -(4 * MARGIN - (8 + 6) * HOLDING)


def test_rejecting_what_was_not_needed_saved_its_holding() -> None:
    found = measured(opening=20, closing=[18, 16, 14], demand=[2, 2, 2], proposed={1: 10}, is_accepted=False)

    assert found.verdict[0] == "unneeded"
    assert found.value_added_amount[0] == 20 * HOLDING


def test_a_larger_quantity_than_proposed_is_worth_what_it_did_beyond_the_proposed_one() -> None:
    # of 6 proposed and 10 ordered, 2 of the 4 extra units were sold, and the rest lay for some days
    found = measured(opening=0.5, closing=[8.5, 6.5, 4.5, 2.5], demand=[2, 2, 2, 2], received={0: 10}, proposed={0: 6})

    assert found.value_added_amount[0] == pytest.approx(1.5 * MARGIN - (4 + 4 + 4 + 2.5) * HOLDING)


def test_a_day_without_stock_says_nothing_where_nothing_was_to_be_expected() -> None:
    found = measured(opening=2, closing=[0, 0, 0], demand=[2, 0, 0], proposed={1: 10}, is_accepted=False)

    assert (found.verdict[0], found.lost_qty[0]) == ("unneeded", 0)


def test_a_line_brought_forward_averted_what_its_old_day_would_have_lost() -> None:
    # 2 a day and 2 there: 4 come on the second day instead of the fourth, so two days are served that would not have been
    found = measured(opening=2, closing=[0.1, 2, 0.1, 0, 0], demand=[1.9, 2, 2, 0.1, 0], received={1: 4}, proposed={1: 4}, without={3: 4})

    assert (found.verdict[0], found.value_added_amount[0]) == ("averted", 0)
    assert found.averted_qty[0] == pytest.approx(3.8, abs=0.2)


def test_putting_a_line_off_that_nobody_missed_saved_its_holding() -> None:
    found = measured(
        opening=20, closing=[18, 16, 14, 22], demand=[2, 2, 2, 2], received={3: 10}, proposed={3: 10}, without={1: 10}, saves_holding=True
    )

    assert (found.verdict[0], found.averted_qty[0], found.excess_unit_days[0]) == ("averted", 0, -20)
    assert found.excess_cost_amount[0] == -20 * HOLDING


def test_putting_off_what_was_needed_should_not_have_been_done() -> None:
    found = measured(
        opening=2, closing=[0, 0, 0, 8], demand=[2, 0, 0, 2], received={3: 10}, proposed={3: 10}, expected=2, without={1: 10},
        saves_holding=True,
    )  # fmt: skip

    assert (found.verdict[0], found.averted_qty[0], found.averted_margin_amount[0]) == ("unneeded", -4, -4 * MARGIN)


def test_a_line_that_came_on_its_old_day_all_the_same_was_changed_too_late() -> None:
    found = measured(
        opening=20, closing=[18, 26, 24], demand=[2, 2, 2], received={1: 10}, proposed={1: 10}, without={1: 10}, saves_holding=True
    )

    assert (found.verdict[0], found.excess_unit_days[0]) == ("too_late", 0)


def test_rejecting_to_call_off_what_nobody_needed_cost_its_holding() -> None:
    found = measured(
        opening=20, closing=[18, 26, 24], demand=[2, 2, 2], received={1: 10}, proposed={}, without={1: 10}, is_accepted=False,
        saves_holding=True,
    )  # fmt: skip

    assert (found.verdict[0], found.value_added_amount[0]) == ("averted", -20 * HOLDING)


amounts = st.lists(st.integers(0, 6), min_size=6, max_size=6)


@settings(max_examples=100, deadline=None)
@given(opening=st.integers(0, 12), demand=amounts, receipts=amounts, others=amounts, proposed=st.integers(0, 15))
def test_an_order_never_loses_units_and_the_replay_of_what_happened_is_what_happened(
    opening: int, demand: list[int], receipts: list[int], others: list[int], proposed: int
) -> None:
    stock, closing, seen = float(opening), [], []
    for wanted, own, other in zip(demand, receipts, others, strict=True):
        there = stock + own + other
        seen.append(min(there, float(wanted)))
        stock = there - seen[-1]
        closing.append(stock)
    path = StockPath(
        opening=np.array([float(opening)]), closing=column(closing), demand=column(seen), expected=column([float(one) for one in demand]),
        is_censored=column(closing) <= 0, is_in_window=np.ones((6, 1), dtype=np.bool_),
    )  # fmt: skip
    own = column([float(one) for one in receipts])

    found = measure_outcomes(
        path, received=own, proposed=units({2: float(proposed)}, 6), is_accepted=np.array([True]),
        money=UnitMoney(np.array([MARGIN]), np.array([np.nan])),
    )  # fmt: skip

    assert found.lost_qty[0] == pytest.approx(sum(demand) - sum(seen))
    assert found.lost_without_qty[0] >= found.lost_qty[0] - 1e-9
    assert found.averted_qty[0] <= own.sum() + 1e-9
    assert np.isnan(found.excess_cost_amount[0])


def test_a_scorecard_counts_verdicts_and_adds_only_amounts_that_are_known() -> None:
    outcomes = pl.DataFrame(
        {
            "actor": ["ann", "ann", "bob", "ann"], "currency_code": ["EUR"] * 4, "verdict": ["averted", "unneeded", "too_late", "unknown"],
            "is_accepted": [True, False, True, True], "is_override": [False, True, False, False], "averted_qty": [5.0, 0.0, 1.0, None],
            "averted_margin_amount": [500, 0, None, None], "excess_cost_amount": [10, 40, None, None], "value_added_amount": [0, 40, None, None],
        }
    )  # fmt: skip

    card = scorecard(outcomes, "actor")

    names = [
        "actor",
        "decided_count",
        "accepted_count",
        "overridden_count",
        "averted_count",
        "unneeded_count",
        "unknown_count",
        "no_money_count",
    ]
    assert card.select(names).rows() == [("ann", 3, 2, 1, 1, 1, 1, 0), ("bob", 1, 1, 0, 0, 0, 0, 1)]
    assert card.select("averted_qty", "averted_margin_amount", "override_value_amount").rows() == [(5.0, 500, 40), (1.0, None, None)]


def test_a_transfer_that_lost_more_where_it_came_from_than_it_saved_was_unneeded() -> None:
    here = path_of(opening=2, closing=[0.001, 8, 6], demand=[2, 2, 2])
    there = path_of(opening=10, closing=[0.001, 0, 0], demand=[0, 0, 0], expected=4)

    found = measure_outcomes(
        here,
        received=units({1: 10}, 3),
        proposed=units({1: 10}, 3),
        is_accepted=np.array([True]),
        money=UnitMoney(np.array([MARGIN]), np.array([HOLDING])),
        senders=Senders(there, units({0: 10}, 3), units({0: 10}, 3), np.array([2 * HOLDING])),
    )

    # 4 saved here, 8 lost there, where the 10 units would have met them
    assert (found.verdict[0], found.averted_qty[0]) == ("unneeded", pytest.approx(-4, abs=0.01))
    # held here 8 and 6, there no more on the first day (10) and the second (6), and the third (2)
    assert found.excess_unit_days[0] == pytest.approx(14 - 18, abs=0.01)
    assert found.excess_cost_amount[0] == pytest.approx((14 - 2 * 18) * HOLDING, rel=0.01)
    assert found.value_added_amount[0] == 0
