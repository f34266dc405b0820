"""Daily orders in the packs that cost least: what is left out, what never is, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.explain import explain
from inventory.reorder import plan_reorder, round_order
from inventory.reorder_decision import NoOrder, Reorder
from inventory.schema import LeadTime, OrderTerms, Position, ReorderPolicy

AS_OF = date(2025, 6, 30)
LOST = ReorderPolicy(service_level=0.95, review_period_days=7, holding_cost_rate=0.25)
TERMS = OrderTerms(unit_cost_amount=1000, list_price_amount=1600)


def planned(paths: Any, *, on_hand: int, terms: OrderTerms, policy: ReorderPolicy = LOST, **stock: int) -> Reorder | NoOrder:
    return plan_reorder(
        paths,
        position=Position(on_hand, **stock),
        lead_time=LeadTime(np.array([12]), "as promised"),
        terms=terms,
        policy=policy,
        as_of=AS_OF,
    )


def certain(rate: float) -> Any:
    return np.full((50, 19), rate, dtype=np.float32)


def poisson(rate: float) -> Any:
    return np.random.default_rng(2).poisson(rate, size=(60, 19)).astype(np.float32)


def ordered(found: Reorder | NoOrder) -> int:
    return found.rounded.qty if isinstance(found, Reorder) else 0


# 19 of 1 a day are needed, 18 are there: waiting a week misses 1 sale, 600. h = 1000 x .25 x 7 / 365 = 4.79 a week, so a week of the cycle of
# an order of 100 costs 4.79 x (100 + 7) / 2 = 256 in the mean, and of one of 1,000 it costs 4.79 x (1,000 + 7) / 2 = 2,414
def test_a_need_of_one_orders_a_minimum_of_a_hundred_where_waiting_loses_more_than_a_week_of_its_cycle_costs() -> None:
    assert ordered(planned(certain(1.0), on_hand=18, terms=replace(TERMS, min_order_qty=100))) == 100


def test_a_need_of_one_does_not_order_a_minimum_of_a_thousand_that_costs_more_than_it_saves() -> None:
    found = planned(certain(1.0), on_hand=18, terms=replace(TERMS, min_order_qty=1000))

    assert isinstance(found, NoOrder)
    assert (found.kind, found.lasts_days) == ("not_worth", 18)
    assert found.reason == (
        "1 unit is wanted and the smallest order is 1000: it would save 1.0 sales until the next order arrives, less than holding the rest costs."
    )
    assert found.declined is not None
    assert (found.declined.qty, found.declined.saved_qty, found.declined.saved_amount) == (1000, 1.0, 600.0)
    assert found.declined.held_amount == pytest.approx(999 * 1.5 * 1000 * 0.25 * 7 / 365)


def test_the_minimum_is_ordered_where_the_unit_missed_is_worth_its_holding() -> None:
    found = planned(certain(1.0), on_hand=18, terms=replace(TERMS, min_order_qty=100, list_price_amount=1713))

    assert (ordered(found), found.rounded.binding_constraint if isinstance(found, Reorder) else None) == (100, "minimum_order")


def test_an_order_is_rounded_down_where_a_pack_more_costs_more_than_it_saves_and_says_so() -> None:
    found = planned(certain(20.0), on_hand=279, terms=replace(TERMS, order_multiple=100))  # 380 less 279 is 101

    assert isinstance(found, Reorder)
    assert (found.raw_qty, found.rounded.qty, found.rounded.binding_constraint) == (101, 100, "order_multiple")
    assert explain(found)[-1].note.startswith("Rounded down: a pack more costs more than it saves (minimum 1, in packs 100, pack 100).")
    assert found.rounded.declined is not None
    assert (found.rounded.declined.qty, found.rounded.declined.saved_amount) == (100, pytest.approx(600))


@pytest.mark.parametrize(
    ("policy", "price"),
    [
        (LOST, None),  # no margin is known
        (replace(LOST, critical_ratio=0.9), 1600),  # a rule names the quantile
        (replace(LOST, method="order_up_to"), 1600),
        (replace(LOST, method="min_max", min_qty=19, max_qty=19), 1600),
        (replace(LOST, min_fill_rate=0.999), 1600),  # 99.9 % of the seven in its own days needs the unit
    ],
)
def test_what_money_does_not_decide_is_rounded_up(policy: ReorderPolicy, price: int | None) -> None:
    found = planned(certain(1.0), on_hand=18, terms=replace(TERMS, min_order_qty=100, list_price_amount=price), policy=policy)

    assert ordered(found) == 100


def test_rounding_up_without_a_margin_says_what_weighing_would_need() -> None:
    found = planned(certain(1.0), on_hand=18, terms=replace(TERMS, min_order_qty=100, list_price_amount=None))

    assert isinstance(found, Reorder)
    assert "whether a pack less costs less is not available: needs a list price in the supplier's currency" in explain(found)[-1].note


def test_units_owed_to_customers_are_never_rounded_away() -> None:
    found = planned(certain(0.0), on_hand=0, terms=replace(TERMS, min_order_qty=100), committed_qty=1)

    assert ordered(found) == 100


@given(
    on_hand=st.integers(0, 60), more=st.integers(0, 20), margin=st.sampled_from([1, 5, 20, 100, 600]), dearer=st.integers(0, 300),
    pack=st.integers(1, 40), minimum=st.integers(0, 90),
)  # fmt: skip
def test_more_stock_never_orders_more_and_a_dearer_shortage_never_less_in_whole_packs(
    on_hand: int, more: int, margin: int, dearer: int, pack: int, minimum: int
) -> None:
    paths = poisson(2.0)
    terms = OrderTerms(1000, 1000 + margin, order_multiple=pack, min_order_qty=minimum)

    qty = ordered(planned(paths, on_hand=on_hand, terms=terms))
    fuller = ordered(planned(paths, on_hand=on_hand + more, terms=terms))
    dear = ordered(planned(paths, on_hand=on_hand, terms=replace(terms, list_price_amount=1000 + margin + dearer)))

    assert fuller <= qty <= dear
    assert qty == 0 or (qty % pack == 0 and qty >= minimum)


@given(on_hand=st.integers(0, 60), margin=st.sampled_from([5, 20, 600]), pack=st.integers(1, 40), minimum=st.integers(0, 60))
def test_a_suggestion_checked_on_the_stock_it_was_made_from_is_the_same_quantity(
    on_hand: int, margin: int, pack: int, minimum: int
) -> None:
    terms = OrderTerms(1000, 1000 + margin, order_multiple=pack, min_order_qty=minimum)

    found = planned(poisson(2.0), on_hand=on_hand, terms=terms)

    if isinstance(found, Reorder):
        assert round_order(found.order_up_to_qty - on_hand, terms=terms).qty == found.rounded.qty
