from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from inventory.explain import explain, reason
from inventory.protection_demand import cumulative_demand, pair_lead_times, protection_demand
from inventory.reorder import plan_reorder, recommendation_key, round_order
from inventory.reorder_decision import Reorder
from inventory.schema import Inbound, LeadTime, OrderTerms, Position, ReorderPolicy

AS_OF = date(2025, 6, 30)
POLICY = ReorderPolicy(service_level=0.95, review_period_days=7, holding_cost_rate=0.25, method="order_up_to")
LOST = replace(POLICY, method="path_newsvendor")
TERMS = OrderTerms(unit_cost_amount=1000, list_price_amount=1600)


def lead_time(*days: int) -> LeadTime:
    return LeadTime(sample=np.sort(np.array(days, dtype=np.int64)), basis="as promised")


def poisson_paths(rate: float, *, days: int = 60, paths: int = 400) -> Any:
    return np.random.default_rng(2).poisson(rate, size=(paths, days)).astype(np.float32)


def planned(
    paths: Any, *, position: Position, delay: LeadTime | None = None, terms: OrderTerms = TERMS, policy: ReorderPolicy = POLICY
) -> Reorder | None:
    found = plan_reorder(paths, position=position, lead_time=delay or lead_time(12), terms=terms, policy=policy, as_of=AS_OF)
    return found if isinstance(found, Reorder) else None


def reorder(*args: Any, **kwargs: Any) -> Reorder:
    result = planned(*args, **kwargs)
    assert result is not None
    return result


def test_the_order_up_to_level_reproduces_the_newsvendor_of_snyder_and_shen_example_4_3() -> None:
    # holding cost .18, stock-out cost .70, demand normal (50, 8): the critical quantile is 56.60395592743389
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    demand = 1000 * stats.norm.ppf(quantiles, loc=50, scale=8)

    found = protection_demand(
        cumulative_demand(demand[:, None]), lead_days=np.ones(100_000, dtype=np.int64), review_period_days=0, service_level=0.70 / 0.88
    )

    assert found.level_qty / 1000 == pytest.approx(56.60395592743389, abs=2e-3)


def test_a_base_stock_under_poisson_demand_is_the_poisson_quantile_over_lead_and_review_time() -> None:
    found = protection_demand(
        cumulative_demand(poisson_paths(2.0, days=10, paths=40_000)),
        lead_days=np.full(40_000, 3),
        review_period_days=2,
        service_level=0.9,
    )

    assert found.level_qty == stats.poisson.ppf(0.9, 10.0)


def test_a_certain_need_is_reckoned_step_by_step() -> None:
    position = Position(on_hand_qty=50, committed_qty=8, reserved_qty=2, damaged_qty=1, inbound=(Inbound(AS_OF + timedelta(days=5), 30),))

    found = reorder(
        np.full((100, 40), 10.0, dtype=np.float32),
        position=position,
        terms=OrderTerms(unit_cost_amount=1000, list_price_amount=1600, min_order_qty=10, order_multiple=25),
    )

    # 10 a day over 12 + 7 days = 190; 50 - 11 + 30 = 69 are there
    assert [step.qty for step in explain(found)] == [190, 0, -50, -30, 11, 0, 121, 125]
    assert (found.raw_qty, found.rounded.qty, found.rounded.binding_constraint) == (121, 125, "order_multiple")
    # 39 free units last three days; what comes on the fifth is too late for the fourth
    assert (found.need_by, found.order_by, found.expected_receipt) == (AS_OF + timedelta(days=3), AS_OF, AS_OF + timedelta(days=12))
    # 190 - 69 are missed without an order, 120 - 69 even with one: 70 units at a margin of 6.00
    assert (found.cost_if_ignored_p50_amount, found.cost_if_ignored_p90_amount) == (42_000, 42_000)
    assert found.priority_score == 42_000
    # at 10.00 and a quarter a year; the first stock is gone by then, so 115, 105, ... 5 are left at the ends of twelve days
    assert found.cost_if_accepted_amount == round(720 * 1000 * 0.25 / 365)


def test_units_that_outlast_the_lead_time_keep_the_order_waiting() -> None:
    found = reorder(np.full((100, 40), 10.0, dtype=np.float32), position=Position(on_hand_qty=150))

    # 40 units for 19 days; 150 last three days beyond the lead time of 12: 40, 40, 40, then 30, 20, 10 are left at the ends of the days
    assert found.cost_if_accepted_amount == round(180 * 1000 * 0.25 / 365)


def test_inbound_after_lead_and_review_time_does_not_count_but_is_told() -> None:
    late = Position(on_hand_qty=20, inbound=(Inbound(AS_OF + timedelta(days=30), 500),))

    found = reorder(poisson_paths(4.0), position=late)

    assert (found.inbound_qty, found.late_inbound_qty) == (0, 500)
    assert "500 more come later" in explain(found)[3].note


def test_overdue_inbound_counts_and_is_told() -> None:
    overdue = Position(on_hand_qty=20, inbound=(Inbound(AS_OF - timedelta(days=3), 10), Inbound(AS_OF + timedelta(days=3), 5)))

    found = reorder(poisson_paths(4.0), position=overdue)

    assert found.inbound_qty == 15
    assert explain(found)[3].note == "Expected within lead and review time, 10 of them overdue since 27 Jun."


def test_stock_below_zero_counts_as_none_and_says_so() -> None:
    below, none = (reorder(poisson_paths(4.0), position=Position(on_hand_qty=on_hand)) for on_hand in (-30, 0))

    assert below.raw_qty == none.raw_qty
    assert explain(below)[2].note == "The store shows -30; stock below zero is taken as 0."


def test_units_owed_to_customers_are_ordered_too() -> None:
    owed, none = (reorder(poisson_paths(4.0), position=Position(on_hand_qty=0, committed_qty=committed)) for committed in (9, 0))

    assert owed.raw_qty == none.raw_qty + 9


def test_backorders_lower_the_position_in_a_step_of_their_own() -> None:
    owed, none = (reorder(poisson_paths(4.0), position=Position(on_hand_qty=20, backorder_qty=backorders)) for backorders in (7, 0))

    steps = explain(owed)
    assert owed.raw_qty == none.raw_qty + 7
    assert (steps[5].name, steps[5].qty) == ("Backorders", 7)
    assert sum(step.qty for step in steps[:6]) == pytest.approx(owed.raw_qty)


@pytest.mark.parametrize(
    ("on_hand", "waits"),
    [
        (119, 0),  # an order placed now already comes a unit too late
        (120, 0),
        (129, 0),
        (130, 1),
        (179, 5),
        (189, 6),  # one unit less than a week's wait would take
    ],
)
def test_an_order_waits_until_the_last_day_that_keeps_stock(on_hand: int, waits: int) -> None:
    found = reorder(np.full((100, 40), 10.0, dtype=np.float32), position=Position(on_hand_qty=on_hand))

    assert found.order_by == AS_OF + timedelta(days=waits)


def test_without_stock_an_order_does_not_wait_for_what_is_overdue() -> None:
    found = reorder(poisson_paths(4.0), position=Position(on_hand_qty=0, inbound=(Inbound(AS_OF - timedelta(days=3), 80),)))

    assert (found.order_by, found.need_by) == (AS_OF, AS_OF)
    assert reason(found).startswith("Out of stock; 80 units are overdue since 27 Jun, a new order")


def test_the_last_day_to_order_keeps_the_service_level_and_the_day_after_does_not() -> None:
    paths, delay = poisson_paths(4.0), lead_time(8, 12, 12, 14)

    found = reorder(paths, position=Position(on_hand_qty=80), delay=delay)

    wait = (found.order_by - AS_OF).days
    demand, lead_days = paths.cumsum(axis=1), pair_lead_times(delay, paths=400, seed=0)
    missed = [float((demand[np.arange(400), lead_days + later - 1] > 80).mean()) for later in (wait, wait + 1)]
    assert 0 < wait < POLICY.review_period_days
    assert missed[0] <= 0.05 < missed[1]


@given(
    on_hand=st.integers(0, 120),
    due=st.lists(st.tuples(st.integers(-10, 40), st.integers(1, 40)), max_size=3),
    days=st.lists(st.integers(0, 20), min_size=1, max_size=10),
)
def test_dates_stand_in_order_and_an_order_never_waits_beyond_the_next_review(
    on_hand: int, due: list[tuple[int, int]], days: list[int]
) -> None:
    inbound = tuple(Inbound(AS_OF + timedelta(days=day), qty) for day, qty in due)

    found = planned(poisson_paths(3.0, days=27, paths=60), position=Position(on_hand_qty=on_hand, inbound=inbound), delay=lead_time(*days))

    if found is not None:
        assert AS_OF <= found.order_by <= AS_OF + timedelta(days=POLICY.review_period_days)
        assert found.order_by <= found.expected_receipt
        assert found.order_by <= found.need_by
        assert found.need_by == AS_OF or not reason(found).startswith("Out of stock")


def test_enough_stock_needs_no_order() -> None:
    assert planned(poisson_paths(4.0), position=Position(on_hand_qty=500)) is None


def test_an_item_that_nobody_wants_needs_no_order() -> None:
    assert planned(np.zeros((50, 30), dtype=np.float32), position=Position(on_hand_qty=0)) is None


def test_without_a_list_price_the_lost_margin_is_unknown_and_not_zero() -> None:
    found = reorder(poisson_paths(4.0), position=Position(on_hand_qty=5), terms=OrderTerms(unit_cost_amount=1000, list_price_amount=None))

    assert found.cost_if_ignored_p50_amount is None
    assert found.priority_score > 0


def test_paths_shorter_than_lead_and_review_time_are_refused() -> None:
    with pytest.raises(ValueError, match="paths: hold 10 days and lead plus review time is up to 19"):
        planned(poisson_paths(4.0, days=10), position=Position(on_hand_qty=5))


@pytest.mark.parametrize(
    ("raw", "terms", "expected"),
    [
        (7, {}, (7, "none")),
        (0, {"min_order_qty": 50}, (0, "none")),
        (-3, {}, (0, "none")),
        (7, {"order_multiple": 6}, (12, "order_multiple")),
        (12, {"order_multiple": 6}, (12, "none")),
        (3, {"min_order_qty": 10}, (10, "minimum_order")),
        (3, {"min_order_qty": 0}, (3, "none")),
        (3, {"min_order_qty": 10, "order_multiple": 6}, (12, "minimum_order")),
        (40, {"max_order_qty": 20}, (20, "maximum_order")),
        (40, {"max_order_qty": 20, "order_multiple": 6}, (18, "maximum_order")),
    ],
)
def test_a_quantity_is_rounded_to_what_the_supplier_accepts(raw: int, terms: dict[str, int], expected: tuple[int, str]) -> None:
    rounded = round_order(raw, terms=OrderTerms(unit_cost_amount=1, list_price_amount=None, **terms))

    assert (rounded.qty, rounded.binding_constraint) == expected


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"order_multiple": 0}, "order_multiple: has to be at least 1, got 0"),
        ({"max_order_qty": 5, "min_order_qty": 10}, "below the smallest order of 10"),
        ({"max_order_qty": 10, "min_order_qty": 8, "order_multiple": 12}, "at most 10 in packs of 12"),
    ],
)
def test_terms_that_allow_no_quantity_are_refused(terms: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        round_order(3, terms=OrderTerms(unit_cost_amount=1, list_price_amount=None, **terms))


@given(raw=st.integers(-50, 5000), minimum=st.integers(0, 300), pack=st.integers(1, 48))
def test_an_order_is_nothing_or_at_least_the_minimum_and_whole_packs(raw: int, minimum: int, pack: int) -> None:
    qty = round_order(raw, terms=OrderTerms(unit_cost_amount=1, list_price_amount=None, min_order_qty=minimum, order_multiple=pack)).qty

    assert qty % pack == 0
    assert qty == 0 if raw <= 0 else qty >= max(raw, minimum)
    assert qty < max(raw, minimum, 1) + pack


@given(on_hand=st.integers(0, 200), more=st.integers(0, 50), committed=st.integers(0, 20))
def test_a_larger_position_never_raises_the_order(on_hand: int, more: int, committed: int) -> None:
    paths = poisson_paths(3.0, days=19, paths=60)
    terms = OrderTerms(unit_cost_amount=1000, list_price_amount=1600, min_order_qty=12, order_multiple=6)

    less, larger = (
        planned(paths, position=Position(on_hand_qty=stock, committed_qty=committed), terms=terms) for stock in (on_hand, on_hand + more)
    )

    assert (larger.rounded.qty if larger else 0) <= (less.rounded.qty if less else 0)


@given(days=st.lists(st.integers(0, 20), min_size=1, max_size=30), longer=st.integers(0, 10), level=st.sampled_from([0.6, 0.9, 0.95, 0.99]))
def test_a_longer_lead_time_never_lowers_the_level(days: list[int], longer: int, level: float) -> None:
    cumulative = cumulative_demand(poisson_paths(1.5, days=40, paths=80))

    short, long = (
        protection_demand(
            cumulative,
            lead_days=pair_lead_times(lead_time(*(day + extra for day in days)), paths=80, seed=4),
            review_period_days=7,
            service_level=level,
        )
        for extra in (0, longer)
    )

    assert long.level_qty >= short.level_qty


@given(level=st.floats(0.55, 0.9), higher=st.floats(0.0, 0.09))
def test_a_higher_service_level_never_lowers_the_order(level: float, higher: float) -> None:
    paths = poisson_paths(3.0, days=19, paths=60)

    less, more = (
        reorder(paths, position=Position(on_hand_qty=5), policy=replace(POLICY, service_level=service))
        for service in (level, level + higher)
    )

    assert more.raw_qty >= less.raw_qty


def test_the_sentence_says_how_long_stock_lasts_against_the_delivery() -> None:
    paths = poisson_paths(9.4)

    sentences = [reason(reorder(paths, position=Position(on_hand_qty=on_hand))) for on_hand in (0, 34, 140)]

    assert sentences == [
        "Out of stock; nothing is under way, a new order takes 12 days and 9.4 a day are wanted.",
        "Runs out in about 3 days; a new order takes 12 days and 9.4 a day are wanted.",
        "Lasts about 14 days; an order at the next review arrives in 19 days and 9.4 a day are wanted.",
    ]


def due(*arrivals: tuple[int | None, int]) -> tuple[Inbound, ...]:
    return tuple(Inbound(None if days is None else AS_OF + timedelta(days=days), qty) for days, qty in arrivals)


@pytest.mark.parametrize(
    ("position", "begins"),
    [
        (Position(0, inbound=due((1, 39))), "Out of stock; 39 units are due on 1 Jul, a new order takes 12 days and 9.4 a day are wanted."),
        (Position(0, inbound=due((1, 30), (9, 9))), "Out of stock; 39 units are due from 1 Jul, a new order"),
        (Position(0, inbound=due((-16, 12), (9, 27))), "Out of stock; 39 units are under way (12 of them overdue since 14 Jun), a new order"),
        (Position(0, inbound=due((None, 1))), "Out of stock; 1 unit is under way without a date, a new order"),
        (Position(0, backorder_qty=4, inbound=due((-16, 12))), "Out of stock and 4 units owed; 12 units are overdue since 14 Jun, a new order"),
        # what arrives before stock ends is counted in the days, what arrives after is not
        (Position(34, inbound=due((9, 20))), "Runs out in about 3 days; 20 units are due on 9 Jul, a new order takes 12 days"),
        (Position(34, inbound=due((2, 20))), "Runs out in about 5 days even with 20 units due on 2 Jul; a new order takes 12 days"),
        (Position(100, inbound=due((2, 40))), "Lasts about 14 days with 40 units due on 2 Jul; an order at the next review"),
    ],
)  # fmt: skip
def test_the_sentence_names_what_is_under_way(position: Position, begins: str) -> None:
    assert reason(reorder(poisson_paths(9.4), position=position)).startswith(begins)


def test_an_order_that_costs_more_than_it_saves_says_why_it_is_proposed() -> None:
    dear, worth = (
        reorder(
            poisson_paths(4.0), position=Position(on_hand_qty=30), terms=OrderTerms(unit_cost_amount=1000, list_price_amount=1001 + margin)
        )
        for margin in (0, 600)
    )

    sentence = "Holding it costs more than it is expected to save; it is proposed for the policy's sake."
    assert sentence in explain(dear)[-1].note
    assert sentence not in explain(worth)[-1].note


def test_a_key_is_the_same_through_the_week_of_need_and_whatever_the_quantity() -> None:
    known = {"kind": "purchase", "sku": "a", "location_id": "b", "supplier_id": "c"}

    monday, sunday, next_monday = (recommendation_key(**known, need_by=date(2025, 6, day)) for day in (16, 22, 23))

    assert monday == sunday
    assert monday != next_monday
    assert len(monday) == 64


def test_ids_that_hold_separators_do_not_share_a_key() -> None:
    first = recommendation_key(kind="purchase", sku="a|b", location_id="c", supplier_id="d", need_by=AS_OF)
    second = recommendation_key(kind="purchase", sku="a", location_id="b|c", supplier_id="d", need_by=AS_OF)

    assert first != second
