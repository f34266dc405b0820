"""What policies would have cost: the course of events, equal terms for all, and what is not known of the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from inventory import Policy, plan_orders, replay
from inventory.policy import ReplayState
from inventory.simulation import Shop

MONDAY = date(2024, 1, 1)


def week(number: int) -> date:
    return MONDAY + timedelta(weeks=number)


def panel_of(demand: Any, *, censored: Any = None) -> pl.DataFrame:
    units = np.atleast_2d(np.asarray(demand, dtype=float))
    count, weeks = units.shape
    return pl.DataFrame(
        {
            "sku": np.repeat([f"s{row}" for row in range(count)], weeks),
            "location_id": "main",
            "demand_date": [week(number) for number in range(weeks)] * count,
            "demand_qty": units.ravel(),
            "is_censored": np.zeros(units.size, dtype=bool) if censored is None else np.asarray(censored).ravel(),
        }
    )


NONE = pl.DataFrame({"sku": ["s0"], "location_id": ["main"], "on_hand_qty": [0.0]})


@dataclass(frozen=True)
class Steady:
    """Orders the same every time."""

    quantity: float

    def order(self, state: ReplayState) -> Any:
        return np.full(len(state.on_hand), self.quantity)


@dataclass(frozen=True)
class Given:
    """Orders whatever it was given."""

    what: Any

    def order(self, state: ReplayState) -> Any:
        return self.what


@cache
def shop() -> pl.DataFrame:
    return panel_of(np.random.default_rng(4).poisson([[3.0]] * 5, size=(5, 44)))


def costs(result: Any) -> dict[str, float]:
    return dict(result.frame.select("policy", "cost").iter_rows())


def test_an_order_is_sellable_after_the_lead_and_costs_come_after_demand():
    panel = panel_of([2.0] * 20)
    held = pl.DataFrame({"sku": ["s0"], "location_id": ["main"], "on_hand_qty": [3.0]})

    result = replay(panel, {"steady": Steady(3), "plan": Policy()}, start=week(10), end=week(13), frequency="weekly", initial=held)

    # left at the ends: 1, then 0 with one lost, then the first order of 3 is there and leaves 1, then 2
    row = result.frame.row(0, named=True)
    assert (row["holding"], row["shortage"]) == (pytest.approx(0.2 * (1 + 0 + 1 + 2)), pytest.approx(1.0))
    assert (row["fill_rate"], row["average_stock_qty"], row["orders"]) == (7 / 8, 1.0, 4)


def test_foresight_costs_least_and_names_stand_for_rules():
    names = ["textbook", "min_max", "clairvoyant"]

    result = replay(shop(), [*names, Policy()], start=week(30), end=week(43), frequency="weekly")

    cost = costs(result)
    assert list(cost) == [*names, "policy 4"]
    assert cost["clairvoyant"] == min(cost.values())
    assert cost["policy 4"] < cost["min_max"]


def test_the_same_seed_and_any_order_of_rows_give_the_same_replay():
    first = replay(shop(), [Policy()], start=week(38), end=week(43), frequency="weekly", lead_times=[1, 2, 3])
    again = replay(
        shop().sample(fraction=1, shuffle=True, seed=1), [Policy()], start=week(38), end=week(43), frequency="weekly", lead_times=[1, 2, 3]
    )

    assert first.frame.equals(again.frame)


def test_demand_that_waits_is_met_later_and_costs_each_period_it_waits():
    panel = panel_of([2.0] * 20)
    none = pl.DataFrame({"sku": ["s0"], "location_id": ["main"], "on_hand_qty": [0.0]})
    waiting = Policy(shortage="backorder", lead_periods=0)

    result = replay(panel, {"nothing": Steady(0), "base": waiting}, start=week(10), end=week(12), frequency="weekly", initial=none)

    assert result.frame["shortage"][0] == 2 + 4 + 6


def test_what_the_merchant_missed_is_estimated_and_its_uncertainty_stated():
    demand = np.full((3, 40), 6.0) + np.random.default_rng(2).integers(-3, 4, size=(3, 40))
    censored = np.zeros((3, 40), dtype=bool)
    censored[:, 34:36] = True
    demand[:, 34:36] = 1

    result = replay(panel_of(demand, censored=censored), {"none": Steady(0)}, start=week(30), end=week(39), frequency="weekly")

    bounds = result.bounds.row(0, named=True)
    assert result.estimated_rate == pytest.approx(0.2, abs=0.05)
    assert bounds["cost_at_low_demand"] < result.frame["cost"][0] < bounds["cost_at_high_demand"]


def test_lost_demand_of_slow_movers_is_neither_rounded_away_nor_called_certain():
    wanted = np.random.default_rng(5).poisson(0.3, size=(40, 60)).astype(float)
    censored = np.zeros((40, 60), dtype=bool)
    censored[:, 21::2] = True
    seen = np.where(censored, 0.0, wanted)

    result = replay(panel_of(seen, censored=censored), {"none": Steady(0)}, start=week(20), end=week(59), frequency="weekly", initial=NONE)

    bounds = result.bounds.row(0, named=True)
    assert result.frame["cost"][0] == pytest.approx(wanted[:, 20:].sum(), rel=0.1)
    assert result.estimated_rate == pytest.approx(0.5, abs=0.06)
    assert bounds["cost_at_low_demand"] == seen[:, 20:].sum() < result.frame["cost"][0] < bounds["cost_at_high_demand"]


def first_orders(panel: pl.DataFrame, policy: Policy, series: int, **more: Any) -> list[float]:
    """What a policy orders first, at the end of week 38, from nothing in stock."""
    seen: list[float] = []
    place = Shop.place

    def placing(self: Shop, quantity: Any, *args: Any, **kinds: Any) -> None:
        seen.extend(quantity.tolist()[: series - len(seen)])
        place(self, quantity, *args, **kinds)

    held = pl.DataFrame({"sku": [f"s{row}" for row in range(series)], "location_id": "main", "on_hand_qty": 0.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shop, "place", placing)
        replay(panel, [policy], start=week(39), end=week(39), frequency="weekly", initial=held, **more)
    return seen


def test_a_replay_learns_from_weeks_sold_out_above_the_usual_as_a_plan_does():
    demand = np.random.default_rng(6).poisson(6.0, size=(4, 40)).astype(float)
    demand[:, 30:] *= 3
    censored = np.zeros((4, 40), dtype=bool)
    censored[:, 30:39] = True
    panel = panel_of(demand, censored=censored)
    known = panel.filter(pl.col("demand_date") < week(39))
    held = pl.DataFrame({"sku": [f"s{row}" for row in range(4)], "location_id": "main", "on_hand_qty": 0.0})

    planned = plan_orders(known, held, None, Policy(), frequency="weekly").frame["order_qty"].to_list()

    assert first_orders(panel, Policy(), 4) == planned


def test_the_orders_of_an_item_do_not_depend_on_the_leads_of_others():
    slow = pl.DataFrame({"sku": ["s4"], "lead_periods": [[9, 11]]})

    assert first_orders(shop(), Policy(), 4, items=slow) == first_orders(shop(), Policy(), 4)


def test_without_stock_outs_there_is_nothing_to_estimate():
    result = replay(shop(), {"none": Steady(0)}, start=week(40), end=week(43), frequency="weekly")

    assert result.estimated_rate == 0
    assert result.bounds["cost_at_low_demand"].to_list() == result.bounds["cost_at_high_demand"].to_list() == result.frame["cost"].to_list()


def test_ample_stock_costs_more_where_less_was_wanted():
    censored = np.zeros((5, 44), dtype=bool)
    censored[:, 41:43] = True
    panel = shop().with_columns(demand_qty=pl.when(censored.ravel()).then(0.0).otherwise("demand_qty"), is_censored=censored.ravel())
    held = pl.DataFrame({"sku": [f"s{row}" for row in range(5)], "location_id": "main", "on_hand_qty": 60.0})

    bounds = replay(panel, {"none": Steady(0)}, start=week(40), end=week(43), frequency="weekly", initial=held).bounds

    assert bounds["cost_at_low_demand"][0] > bounds["cost_at_high_demand"][0]


def test_stock_has_a_value_only_where_every_unit_cost_is_known():
    known = pl.DataFrame({"sku": [f"s{row}" for row in range(5)], "unit_cost": [2.0] * 5})

    told = replay(shop(), {"s": Steady(1)}, start=week(40), end=week(43), frequency="weekly", items=known).frame
    untold = replay(shop(), {"s": Steady(1)}, start=week(40), end=week(43), frequency="weekly", items=known[:4]).frame

    assert told["average_stock_amount"][0] == pytest.approx(2 * told["average_stock_qty"][0])
    assert "average_stock_amount" not in untold.columns


def test_leads_as_they_were_are_lived_through_order_by_order():
    panel = panel_of([2.0] * 20)
    held = pl.DataFrame({"sku": ["s0"], "location_id": ["main"], "on_hand_qty": [2.0]})
    leads = pl.DataFrame({"demand_date": [week(9), week(10), week(11)], "lead_periods": [0, 3, 0]})

    result = replay(panel, {"s": Steady(2)}, start=week(10), end=week(12), frequency="weekly", initial=held, lead_times=leads)

    # the second order comes too late: 2 left, then 0, then the third order is sold at once
    assert (result.frame["average_stock_qty"][0], result.frame["fill_rate"][0]) == (pytest.approx(2 / 3), 1.0)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"policies": {}}, "policies: there is none"),
        ({"policies": ["luck"]}, "'luck' is no rule"),
        ({"policies": {"x": 3}}, "is a int"),
        ({"start": week(0)}, "start, end"),
        ({"end": week(99)}, "start, end"),
        ({"end": week(39)}, "start, end: 2024-10-07 is after 2024-09-30"),
        ({"lead_times": [1.5]}, "lead_times"),
        ({"lead_times": []}, "lead_times"),
        ({"lead_times": "soon"}, "lead_times"),
        ({"lead_times": pl.DataFrame({"lead_periods": [2]})}, "lead_times: lacks demand_date"),
        ({"lead_times": pl.DataFrame({"demand_date": [MONDAY]})}, "lead_times: lacks lead_periods"),
        ({"start": "2024-10-07"}, "start: has to be a date"),
        ({"policies": ["textbook", "textbook"]}, "'textbook' is there twice"),
        ({"policies": {"odd": Given([1.0, 2.0])}}, "'odd' orders float64 of shape"),
        ({"policies": {"odd": Given(["1"] * 5)}}, "'odd' orders <U1"),
        ({"policies": {"odd": Given([1.0, float("nan"), 1.0, 1.0, 1.0])}}, "'odd' orders nan units of s1"),
        ({"policies": {"odd": Given([float("inf")] * 5)}}, "'odd' orders inf units of s0"),
        ({"policies": {"odd": Given([0.0, 0.0, -2.0, 0.0, 0.0])}}, "'odd' orders -2.0 units of s2"),
        (
            {"items": pl.DataFrame({"sku": [f"s{row}" for row in range(5)], "pack_qty": [0] * 5})},
            "no series can be planned; s0: pack_qty is 0",
        ),
    ],
)
def test_what_cannot_be_replayed_is_refused_by_name(broken: dict[str, Any], named: str):
    right: dict[str, Any] = {"policies": ["textbook"], "start": week(40), "end": week(43), "frequency": "weekly"} | broken

    with pytest.raises(ValueError, match=named):
        replay(shop(), right.pop("policies"), **right)


def test_stock_of_what_the_panel_lacks_is_told_and_not_dropped():
    held = pl.DataFrame({"sku": ["s0", "who"], "location_id": "main", "on_hand_qty": [9.0, 9.0]})

    result = replay(shop(), {"s": Steady(2)}, start=week(40), end=week(43), frequency="weekly", initial=held)

    assert result.left_out.rows() == [("who", "main", "has no demand history in the panel")]


def test_keys_of_another_kind_are_told_as_texts():
    numbered = shop().with_columns(pl.col("sku").str.slice(1).cast(pl.Int64))
    held = pl.DataFrame({"sku": ["0", "who"], "location_id": "main", "on_hand_qty": [9.0, 9.0]})

    result = replay(numbered, {"s": Steady(2)}, start=week(40), end=week(43), frequency="weekly", initial=held)

    assert result.left_out["sku"].to_list() == ["who"]


def test_what_rounding_leaves_of_no_order_is_no_order():
    result = replay(shop(), {"s": Steady(-1e-12)}, start=week(40), end=week(43), frequency="weekly")

    assert result.frame["orders"][0] == 0


@pytest.mark.parametrize("lead_times", [2, np.int32(2), np.array([2]), [2], None])
def test_lead_times_may_be_any_whole_numbers_and_days_may_have_an_hour(lead_times: Any):
    given = replay(shop(), ["textbook"], start=datetime(2024, 10, 7, 9), end=week(43), frequency="weekly", lead_times=lead_times)

    assert given.frame.equals(replay(shop(), ["textbook"], start=week(40), end=week(43), frequency="weekly", lead_times=2).frame)


@pytest.mark.parametrize("lead_times", [None, [2]])
def test_what_a_plan_would_refuse_is_left_out_with_its_reason_and_changes_nothing_else(lead_times: Any):
    items = pl.DataFrame({"sku": ["s0", "s1"], "pack_qty": [0, 1], "shortage_cost": [1.0, None]})
    held = pl.DataFrame({"sku": [f"s{row}" for row in range(5)], "location_id": "main", "on_hand_qty": [9.0, 9.0, None, 9.0, 9.0]})
    dark = shop().filter(pl.col("sku") == "s3").with_columns(sku=pl.lit("dark"), is_censored=pl.lit(value=True))
    span: dict[str, Any] = {"start": week(40), "end": week(43), "frequency": "weekly", "lead_times": lead_times}

    result = replay(pl.concat([shop(), dark]), {"s": Steady(2)}, items=items, initial=held, **span)

    assert dict(result.left_out.select("sku", "reason").iter_rows()) == {
        "dark": "no week in stock, so nothing is known of its demand",
        "s0": "pack_qty is 0 and has to be at least 1",
        "s1": "its shortage_cost is not known",
        "s2": "on_hand_qty is not known",
    }
    others = shop().filter(pl.col("sku").is_in(["s3", "s4"]))
    assert result.frame.equals(replay(others, {"s": Steady(2)}, initial=held, **span).frame)
