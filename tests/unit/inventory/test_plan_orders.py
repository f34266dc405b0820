"""Orders that are planned: their limits, their reasons, and what more stock or dearer shortages do to them."""

from __future__ import annotations

import dataclasses
import math
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory import OrderPlan, Policy, plan_orders
from inventory.demand_paths import learn_demand
from inventory.item_terms import read_items
from inventory.ordering import decide
from inventory.projection import need_quantile, project_needs

MONDAY = date(2024, 1, 1)
RATES = (0.3, 2.0, 6.0, 25.0)
WEEKS = 40


@cache
def panel() -> pl.DataFrame:
    demand = np.random.default_rng(3).poisson(RATES, size=(WEEKS, len(RATES))).T.astype(float)
    return pl.DataFrame(
        {
            "sku": np.repeat([f"s{row}" for row in range(len(RATES))], WEEKS),
            "location_id": "main",
            "demand_date": [MONDAY + timedelta(weeks=week) for week in range(WEEKS)] * len(RATES),
            "demand_qty": demand.ravel(),
            "is_censored": False,
        }
    )


def stock(*quantities: Any, **columns: Any) -> pl.DataFrame:
    rows = {"sku": [f"s{row}" for row in range(len(quantities))], "location_id": "main", "on_hand_qty": list(quantities)}
    return pl.DataFrame({**rows, **columns}, strict=False)


def plan(position: pl.DataFrame, policy: Policy | None = None, *, inbound: pl.DataFrame | None = None, **more: Any) -> OrderPlan:
    return plan_orders(panel(), position, inbound, policy or Policy(), frequency="weekly", **more)


def orders(result: OrderPlan) -> list[float]:
    return result.frame["order_qty"].to_list()


def quantity(paths: Any, **stock: Any) -> float:
    """What to order of one series whose demand is known to be like the paths."""
    return float(need_quantile(project_needs(paths, **stock).need, 0.8)[0])


def test_an_order_is_there_after_the_lead_time_and_no_sooner():
    paths = np.zeros((1, 50, 4), dtype=np.float32)
    paths[:, :, 2] = 7

    by_lead = [
        quantity(paths, on_hand=np.zeros(1), arriving=np.zeros((0, 1)), arrives=lead, until=lead + 1, shortage="lost")
        for lead in (0, 1, 2, 3)
    ]

    assert by_lead == [0, 0, 7, 0]


def test_what_is_lost_before_the_order_arrives_is_not_ordered_again():
    paths = np.full((1, 50, 3), 4, dtype=np.float32)
    known = {"on_hand": np.zeros(1), "arriving": np.zeros((2, 1)), "arrives": 2, "until": 3}

    lost, waiting = quantity(paths, shortage="lost", **known), quantity(paths, shortage="backorder", **known)

    assert (lost, waiting) == (4, 12)


def test_units_owed_are_ordered_beside_coming_demand():
    paths = np.full((1, 50, 3), 4, dtype=np.float32)

    owed = quantity(paths, on_hand=np.full(1, -5.0), arriving=np.zeros((2, 1)), arrives=2, until=3, shortage="lost")

    assert owed == 9


KEYS = pl.DataFrame({"sku": ["s0", "s1", "s2", "s3"], "location_id": "main"})
PATHS = np.random.default_rng(1).poisson(np.array(RATES)[:, None, None], size=(4, 200, 4)).astype(np.float32)


def accepted(policy: Policy, held: list[int], arriving: Any = None, *, items: pl.DataFrame | None = None) -> Any:
    """Orders of four series whose demand is known to be Poisson."""
    decision = decide(
        PATHS,
        rows=np.arange(4),
        on_hand=np.array(held, dtype=float),
        arriving=np.zeros((4, 4)) if arriving is None else arriving,
        terms=read_items(KEYS, items, policy),
        policy=policy,
        is_whole=np.ones(4, dtype=bool),
        seed=0,
    )
    return decision.rounded.maximum


HELD = st.lists(st.integers(-20, 120), min_size=4, max_size=4)
POLICIES = st.builds(
    Policy,
    shortage=st.sampled_from(["lost", "backorder"]),
    review_periods=st.integers(1, 2),
    shortage_cost=st.floats(0.1, 20),
    pack_qty=st.integers(1, 9),
    min_order_qty=st.integers(0, 30),
    max_order_qty=st.sampled_from([None, 40, 80]),
    min_fill_rate=st.sampled_from([None, 0.9, 0.99]),
)
UNCERTAIN = pl.DataFrame({"sku": ["s1", "s2"], "lead_periods": [[1, 2], [0, 1, 2]]})


@settings(deadline=None)
@given(policy=POLICIES, held=HELD, more=st.integers(1, 40), ahead=st.integers(0, 3), leads=st.sampled_from([None, UNCERTAIN]))
def test_more_stock_or_more_on_its_way_never_orders_more(
    policy: Policy, held: list[int], more: int, ahead: int, leads: pl.DataFrame | None
):
    inbound = np.zeros((4, 4))
    inbound[ahead] = more

    before = accepted(policy, held, items=leads)

    assert (accepted(policy, [units + more for units in held], items=leads) <= before).all()
    assert (accepted(policy, held, inbound, items=leads) <= before).all()


@settings(deadline=None)
@given(policy=POLICIES, held=HELD, times=st.floats(1, 10))
def test_a_dearer_shortage_never_orders_less(policy: Policy, held: list[int], times: float):
    dearer = dataclasses.replace(policy, shortage_cost=policy.shortage_cost * times)

    assert (accepted(dearer, held) >= accepted(policy, held)).all()


@settings(deadline=None)
@given(policy=POLICIES, held=HELD)
def test_packs_minimum_and_maximum_are_kept_to(policy: Policy, held: list[int]):
    quantity = accepted(policy, held)

    assert (quantity % policy.pack_qty == 0).all()
    assert ((quantity == 0) | (quantity >= policy.min_order_qty)).all()
    assert (quantity <= (policy.max_order_qty or np.inf)).all()


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(shortage="backorder", pack_qty=7), Policy(pack_qty=6, min_order_qty=12, max_order_qty=60)]
)
def test_the_steps_add_up_to_the_raw_quantity_and_to_the_order(policy: Policy):
    assert_steps_add_up(plan(stock(0, 11, 4, 20), policy))


def assert_steps_add_up(result: OrderPlan) -> None:
    for sku, raw, order in result.frame.filter(pl.col("raw_qty").is_not_null()).select("sku", "raw_qty", "order_qty").iter_rows():
        steps = result.steps.filter(pl.col("sku") == sku).sort("step_number")
        names = steps["step"].to_list()
        quantities = dict(zip(names, steps["qty"].to_list(), strict=True))
        place = names.index("raw_quantity")
        assert math.fsum(quantities[name] for name in names[:place]) == pytest.approx(raw, abs=1e-9)
        assert raw + math.fsum(quantities[name] for name in names[place + 1 : -1]) == pytest.approx(order, abs=1e-9)
        assert (quantities["raw_quantity"], quantities[names[-1]]) == (raw, order)
        assert "-0.0" not in {str(quantity) for quantity in quantities.values()}


def test_steps_name_everything_that_speaks_for_and_against_the_order():
    position = stock(3, 8, 20, 90, committed_qty=[1, 0, 0, 0], backorder_qty=[2, 0, 0, 0])
    inbound = pl.DataFrame({"sku": ["s0", "s2"], "location_id": "main", "arrives_in_periods": [1, 3], "qty": [1, 5]})

    result = plan(position, Policy(pack_qty=6), inbound=inbound)

    assert_steps_add_up(result)
    first = dict(result.steps.filter(pl.col("sku") == "s0").select("step", "qty").iter_rows())
    assert (first["on_hand"], first["committed"], first["backorders"], first["inbound"]) == (-3, 1, 2, -1)


def test_the_order_of_rows_changes_nothing_and_the_same_seed_gives_the_same_plan():
    position, items = stock(1, 2, 3, 4), pl.DataFrame({"sku": ["s0", "s1", "s2", "s3"], "lead_periods": [[1, 2], [2], [3], [1, 2, 3]]})

    first = plan(position, items=items)
    again = plan_orders(
        panel().sample(fraction=1, shuffle=True, seed=1), position.reverse(), None, Policy(), frequency="weekly", items=items.reverse()
    )

    assert first.frame.equals(again.frame)
    assert first.steps.equals(again.steps)


def test_what_cannot_be_planned_is_listed_with_its_reason_and_nothing_ordered():
    position = pl.DataFrame({"sku": ["s0", "s1", "s2", "s3", "who", None, "dark"], "location_id": "main", "on_hand_qty": [0.0] * 7})
    dark = panel().filter(pl.col("sku") == "s0").with_columns(sku=pl.lit("dark"), is_censored=pl.lit(value=True))
    items = pl.DataFrame({"sku": ["s0", "s1", "s2"], "pack_qty": [0.0, None, 1.0], "lead_periods": [2, 2, -1]})

    result = plan_orders(pl.concat([panel(), dark]), position, None, Policy(), frequency="weekly", items=items).frame

    reasons = dict(result.select("sku", "no_recommendation_reason").iter_rows())
    assert reasons["s0"] == "pack_qty is 0 and has to be at least 1"
    assert reasons["s1"] == "its pack_qty is not known"
    assert reasons["s2"].startswith("lead_periods is -1")
    assert reasons["who"] == "has no demand history in the panel"
    assert reasons[None] == "has no sku or location_id"
    assert reasons["dark"].startswith("no week in stock")
    assert reasons["s3"] is None
    assert result.filter(pl.col("no_recommendation_reason").is_not_null())["order_qty"].to_list() == [0.0] * 6


@pytest.mark.parametrize(
    ("held", "said"), [(None, "not known"), (float("nan"), "nan"), (float("inf"), "inf"), (1e13, "1e+13"), (-1e13, "-1e")]
)
def test_stock_that_is_not_known_or_absurd_is_not_ordered_for(held: float | None, said: str):
    result = plan(stock(held, 8.0, 20.0, 90.0)).frame

    assert result["no_recommendation_reason"][0].startswith(f"on_hand_qty is {said}")
    assert result["order_qty"][0] == 0.0
    assert result["no_recommendation_reason"][1:].null_count() == 3


def test_negative_stock_counts_as_none_and_is_noted():
    result = plan(stock(-4.0, 8.0, 20.0, 90.0, committed_qty=[None, 1.0, 1.0, 1.0])).frame

    assert result["note"][0] == "on_hand_qty is -4: taken as 0; committed_qty is not known: taken as 0"
    assert orders(plan(stock(0.0, 8.0, 20.0, 90.0))) == orders(plan(stock(-4.0, 8.0, 20.0, 90.0)))


def test_absurd_demand_is_not_ordered_for():
    absurd = panel().with_columns(demand_qty=pl.when(pl.col("sku") == "s1").then(1e15).otherwise("demand_qty"))

    result = plan_orders(absurd, stock(1, 2, 3, 4), None, Policy(), frequency="weekly").frame

    assert result["no_recommendation_reason"].to_list() == [None, "demand of 1e+15 in one week cannot be right", None, None]
    assert result["order_qty"][1] == 0.0


def test_a_series_with_two_rows_is_not_planned_on_either():
    result = plan(pl.concat([stock(1, 2, 3, 4), stock(9)])).frame

    assert result["no_recommendation_reason"].to_list() == ["has 2 rows in the position", None, None, None]


def test_overdue_inbound_counts_for_the_next_period_and_is_noted():
    late = pl.DataFrame({"sku": ["s3"], "location_id": ["main"], "arrives_in_periods": [-2], "qty": [30.0]})
    soon = late.with_columns(arrives_in_periods=pl.lit(1))

    overdue, due = plan(stock(1, 2, 3, 4), inbound=late).frame, plan(stock(1, 2, 3, 4), inbound=soon).frame

    assert overdue["order_qty"].to_list() == due["order_qty"].to_list()
    assert overdue["note"][3] == "1 arrival is overdue or undated: expected next period"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"position": stock(1).drop("on_hand_qty")}, "position: lacks on_hand_qty"),
        ({"position": stock("many")}, "position: on_hand_qty is String"),
        ({"inbound": stock(1)}, "inbound: lacks arrives_in_periods"),
        ({"panel": panel().drop("is_censored")}, "panel: lacks is_censored"),
        ({"items": pl.DataFrame({"pack": [1]})}, "items: lacks sku"),
        ({"items": pl.DataFrame({"sku": ["s0", "s0"], "pack_qty": [1, 2]})}, "items: 1 key has several rows"),
        ({"frequency": "hourly"}, "frequency"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_frame_is_refused_with_its_name(broken: dict[str, Any], named: str):
    right: dict[str, Any] = {"panel": panel(), "position": stock(1), "inbound": None, "frequency": "weekly"} | broken
    frames = [right.pop(name) for name in ("panel", "position", "inbound")]

    with pytest.raises(ValueError, match=named):
        plan_orders(*frames, Policy(), **right)


def test_a_budget_buys_what_saves_most_for_its_money():
    items = pl.DataFrame({"sku": ["s1", "s2", "s3"], "unit_cost": [1.0, 10.0, 1.0]})
    rich = plan(stock(5, 0, 0, 0), Policy(budget_amount=10_000), items=items)

    poor = plan(stock(5, 0, 0, 0), Policy(budget_amount=20), items=items)

    assert rich.spending is not None
    assert poor.spending is not None
    assert rich.spending.spent_amount == rich.spending.wanted_amount
    assert poor.spending.spent_amount <= 20
    assert poor.spending.value <= poor.spending.value_bound < rich.spending.value
    assert poor.spending.gap_rate < 0.05
    assert poor.frame["binding_constraint"][2] == "budget"
    assert poor.frame["no_recommendation_reason"][0] == "not available within a budget: needs unit_cost"
    assert_steps_add_up(poor)


def test_a_floor_under_the_fill_rate_orders_more_where_stock_is_short_and_says_so():
    plain = plan(stock(0, 0, 0, 0), Policy(shortage_cost=0.3))

    floored = plan(stock(0, 0, 0, 0), Policy(shortage_cost=0.3, min_fill_rate=0.98))

    assert all(more >= less for less, more in zip(orders(plain), orders(floored), strict=True))
    assert floored.frame["binding_constraint"][3] == "fill_rate"
    assert floored.frame["critical_ratio"][3] > plain.frame["critical_ratio"][3]


def test_a_single_review_period_is_its_own_week_in_the_sentence():
    assert "sell in its own week," in plan(stock(0, 0, 0, 0)).frame["reason"][3]


def test_nothing_to_order_is_explained_too():
    result = plan(stock(500, 500, 500, 500)).frame

    assert result["order_qty"].to_list() == [0.0] * 4
    assert result["reason"][0].startswith("Order nothing: stock and what is on its way are enough with a probability of over 99.9%")


def test_near_certainty_is_not_called_certain():
    result = plan(stock(0, 0, 0, 0), Policy(shortage_cost=999.0)).frame

    assert "to have enough in 99.9% of cases" in result["reason"][3]


def test_demand_below_zero_is_named_where_it_leaves_nothing_to_learn_from_and_where_it_does_not():
    wrong = (pl.col("sku") == "s0") | ((pl.col("sku") == "s1") & (pl.col("demand_date") == panel()["demand_date"].max()))
    returned = panel().with_columns(demand_qty=pl.when(wrong).then(-1.0).otherwise("demand_qty"))

    result = plan_orders(returned, stock(0, 0, 0, 0), None, Policy(), frequency="weekly").frame

    weeks = panel()["demand_date"].n_unique()
    assert f"no week in stock whose demand is known: {weeks} quantities are below zero" in result["no_recommendation_reason"][0]
    assert "1 quantities are below zero" in result["fallback_reason"][1]


def test_uncertain_leads_order_more_than_their_mean():
    spread = pl.DataFrame({"sku": ["s3"], "lead_periods": [[1, 2, 3]]})

    certain, uncertain = plan(stock(1, 2, 3, 60)), plan(stock(1, 2, 3, 60), items=spread)

    assert orders(uncertain)[3] > orders(certain)[3]
    assert orders(uncertain)[:3] == orders(certain)[:3]


def test_a_review_every_third_period_orders_for_three():
    each, third = (orders(plan(stock(0, 0, 0, 0), dataclasses.replace(Policy(), review_periods=periods)))[3] for periods in (1, 3))

    assert 2 * each < third < 4 * each


def test_an_order_answers_for_demand_until_the_first_later_one_is_there():
    terms = read_items(KEYS, pl.DataFrame({"sku": ["s0"], "lead_periods": [[1, 5]]}), Policy(lead_periods=2))

    arrives, until = terms.drawn_windows(np.arange(2), 4_000, np.random.default_rng(0), review_periods=1)

    assert (until[1] - arrives[1] == 1).all()  # of a lead time that is certain
    # the next order takes 2 or 6 periods from now, the one after it 3 or 7, then 4 or 8, 5 or 9: the first of them is there
    assert [float((until[0] == period).mean()) for period in (2, 3, 4, 5, 6)] == pytest.approx(
        [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16], abs=0.02
    )


def test_the_spread_of_demand_is_that_of_the_usual_lead_time(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def learning(*args: Any, periods: int, **more: Any) -> Any:
        asked.append(periods)
        return learn_demand(*args, periods=periods, **more)

    monkeypatch.setattr("inventory.planning.learn_demand", learning)
    items = pl.DataFrame({"sku": [f"s{row}" for row in range(4)], "lead_periods": [[1, 1, 1, 1, 1, 1, 1, 1, 1, 8]] * 4})

    plan(stock(5, 5, 5, 5), items=items)

    assert asked == [3]  # 1.7 periods, so 2, and the review


def test_nothing_ordered_is_a_plain_zero():
    assert not np.signbit(plan(stock(500, 500, 500, 500)).frame["order_qty"].to_numpy()).any()


def test_a_column_that_is_nearly_a_known_one_is_refused_and_others_are_left_alone():
    items = pl.DataFrame({"sku": ["s0"], "lead_period": [5], "colour": ["red"]})

    with pytest.raises(ValueError, match="items: lead_period is not known; did you mean lead_periods"):
        plan(stock(1, 2, 3, 4), items=items)
    assert plan(stock(1, 2, 3, 4), items=items.drop("lead_period")).frame.equals(plan(stock(1, 2, 3, 4)).frame)


def test_demand_told_twice_is_noted():
    twice = pl.concat([panel(), panel().filter(pl.col("sku") == "s1")])

    notes = plan_orders(twice, stock(1, 2, 3, 4), None, Policy(), frequency="weekly").frame["note"].to_list()

    assert notes == [None, f"demand of {WEEKS} dates with several rows each was added up", None, None]


def test_accepting_an_order_costs_its_holding_at_the_end_of_each_week_until_the_next_review():
    policy = Policy(review_periods=4, lead_periods=0, holding_cost=1, shortage_cost=30, min_order_qty=200)

    row = plan(stock(0, 0, 0, 0), policy).frame.row(3, named=True)

    # 25 a week are sold, so of the 200 there are 175, 150, 125 and 100 left
    assert row["order_qty"] == 200
    assert row["cost_if_accepted"] == pytest.approx(550, rel=0.05)
