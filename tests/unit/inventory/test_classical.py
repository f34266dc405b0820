from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.matrix import SeriesMatrix
from inventory.classical import RULES, Clairvoyant, DaysOfCover, FixedBatch, MinMax, ReorderPoint, RuleTerms, Textbook
from inventory.policy import ReplayState


def known(*series: list[float | None]) -> SeriesMatrix:
    """Demand per series; None is a period without stock."""
    demand = np.array([[np.nan if value is None else value for value in one] for one in series], dtype=np.float64).T
    observed = ~np.isnan(demand)
    keys = pl.DataFrame({"sku": [f"A{number}" for number in range(len(series))], "location_id": ["main"] * len(series)})
    return SeriesMatrix(
        keys, "weekly", date(2025, 1, 6), np.where(observed, demand, 0.0), observed, ~observed, pl.DataFrame(), None, (None,) * len(series)
    )


def state(*series: list[float | None], on_hand: list[float], arriving: list[list[float]] | None = None) -> ReplayState:
    matrix = known(*series)
    ahead = np.zeros((3, len(series))) if arriving is None else np.array(arriving, dtype=np.float64)
    return ReplayState(matrix.periods_count - 1, np.array(on_hand, dtype=np.float64), ahead, matrix)


def test_the_textbook_orders_up_to_mean_and_safety_over_lead_and_review() -> None:
    # mean 5, sample deviation 2, lead 3 and review 1: 4 * 5 + 1.5 * 2 * sqrt(4) = 26; position 8 + 2 + 3 = 13
    past = state([3.0, 5.0, 7.0], on_hand=[8.0], arriving=[[2.0], [0.0], [3.0]])

    assert Textbook(3, z=1.5).order(past).tolist() == [13.0]


def test_the_textbook_owes_what_waits() -> None:
    assert Textbook(1, z=0.0).order(state([4.0, 4.0], on_hand=[-3.0])).tolist() == [11.0]


def test_days_of_cover_order_up_to_a_third_more_than_the_time_to_protect_or_what_is_said() -> None:
    past = state([6.0, 6.0], [1.0, 3.0], on_hand=[5.0, 20.0])

    assert DaysOfCover(2).order(past).tolist() == [6 * 4 - 5.0, 0.0]
    assert DaysOfCover(2, cover_periods=np.array([2.0, 12.0])).order(past).tolist() == [7.0, 4.0]


def test_min_max_waits_above_its_minimum_and_fills_to_its_maximum_at_it() -> None:
    # mean 2, lead 2 and review 1: minimum 2 * 4 = 8, maximum 8 + 2 * 3 = 14
    past = state([2.0, 2.0], [2.0, 2.0], [0.0, 0.0], on_hand=[9.0, 8.0, 0.0])

    assert MinMax(2).order(past).tolist() == [0.0, 6.0, 0.0]
    assert MinMax(2, min_qty=10.0, max_qty=np.array([12.0, 20.0, 30.0])).order(past).tolist() == [3.0, 12.0, 30.0]


def test_a_reorder_point_orders_a_whole_quantity_and_what_is_missing_below_it() -> None:
    # s = 5 * 4 + 1 * 2 * 2 = 24, S = 24 + 10
    past = state(*[[3.0, 5.0, 7.0]] * 3, on_hand=[25.0, 24.0, 4.0])

    assert ReorderPoint(3, z=1.0, order_qty=10.0).order(past).tolist() == [0.0, 10.0, 30.0]
    assert ReorderPoint(3, z=1.0).order(past).tolist() == [0.0, 20.0, 40.0]


def test_batches_lift_the_position_just_above_the_reorder_point() -> None:
    past = state(*[[3.0, 5.0, 7.0]] * 4, on_hand=[25.0, 24.0, 15.0, 14.0])

    assert FixedBatch(3, z=1.0, order_qty=10.0).order(past).tolist() == [0.0, 10.0, 10.0, 20.0]


def test_periods_without_stock_are_left_out_and_before_the_window_only_the_newest_count() -> None:
    past = state([90.0, 4.0, None, 8.0], [7.0, None, None, None], [None, None, None, None], on_hand=[0.0, 0.0, 0.0])

    assert DaysOfCover(0, cover_periods=1.0, window_periods=3).order(past).tolist() == [6.0, 7.0, 0.0]


def test_the_clairvoyant_orders_what_its_period_lacks_after_what_is_lost_before() -> None:
    # lead 2: stock 5 + 1 meets 4 and leaves 2, of 7 wanted then 5 are lost, then 6 are wanted and 2 arrive
    demand = np.array([[9.0], [4.0], [7.0], [6.0], [100.0]])
    past = ReplayState(0, np.array([5.0]), np.array([[1.0], [0.0], [2.0]]), known([9.0]))

    assert Clairvoyant(demand, 2).order(past).tolist() == [4.0]
    assert Clairvoyant(demand, 2, shortage="backorder").order(past).tolist() == [9.0]
    assert Clairvoyant(demand, 2, review_periods=2).order(past).tolist() == [104.0]
    assert Clairvoyant(demand[:3], 2).order(past).tolist() == [0.0]


@pytest.mark.parametrize("review", [1, 3])
def test_the_clairvoyant_loses_nothing_once_its_orders_arrive_and_holds_only_within_a_review(review: int) -> None:
    demand = np.random.default_rng(3).poisson(2.0, size=(60, 5)).astype(np.float64)
    lead = np.array([0, 1, 2, 2, 4])
    on_hand, arriving, lost, left = np.zeros(5), np.zeros((6, 5)), np.zeros((60, 5)), np.zeros((60, 5))
    rule = Clairvoyant(demand, lead, review)

    for period in range(60):
        on_hand, arriving = on_hand + arriving[0], np.vstack([arriving[1:], np.zeros(5)])
        lost[period], on_hand = np.maximum(demand[period] - on_hand, 0.0), np.maximum(on_hand - demand[period], 0.0)
        left[period] = on_hand
        if period % review == 0:
            arriving[lead, np.arange(5)] += rule.order(ReplayState(period, on_hand, arriving, known(*[[1.0]] * 5)))

    assert lost[5:].sum() == 0
    assert left[5:].sum() == 0 if review == 1 else left[5:].sum() > 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 5), st.integers(1, 3), st.integers(0, 100), st.integers(0, 40))
def test_more_stock_never_orders_more(past: list[int], lead: int, review: int, stock: int, more: int) -> None:
    terms = RuleTerms(lead, review, 0.9, demand=np.full((60, 1), 3.0))

    for rule in (build(terms) for build in RULES.values()):
        few, many = (float(rule.order(state([float(one) for one in past], on_hand=[level]))[0]) for level in (stock, stock + more))
        assert 0.0 <= many <= few + 1e-9


def test_every_rule_is_known_by_name_and_the_order_of_series_changes_nothing() -> None:
    demand: Any = np.random.default_rng(5).poisson(3.0, size=(40, 6)).astype(np.float64)
    stock = np.arange(6.0)
    turned = [3, 1, 5, 0, 4, 2]
    assert set(RULES) == {"textbook", "min_max", "reorder_point", "fixed_batch", "days_of_cover", "clairvoyant"}

    for build in RULES.values():
        orders = build(RuleTerms(2, 1, np.full(6, 0.8), demand=demand)).order(state(*demand[:30].T.tolist(), on_hand=stock.tolist()))
        again = build(RuleTerms(2, 1, np.full(6, 0.8), demand=demand[:, turned])).order(
            state(*demand[:30, turned].T.tolist(), on_hand=stock[turned].tolist())
        )

        assert orders.shape == (6,)
        assert again == pytest.approx(orders[turned])


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Textbook(-1), "lead_periods: has to be finite and at least 0"),
        (lambda: Textbook(1, z=float("nan")), "z: has to be finite"),
        (lambda: DaysOfCover(1, window_periods=0), "window_periods: has to be finite and at least 1"),
        (lambda: MinMax(1, min_qty=5.0, max_qty=4.0), "max_qty: is below min_qty"),
        (lambda: RULES["clairvoyant"](RuleTerms(1, 1, 0.9)), "needs the demand to come"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_by_name(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
