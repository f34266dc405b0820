"""Runs' methods in whole periods against the same methods for one item, on the same paths."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from inventory.item_terms import read_items
from inventory.policy import Policy, ReplayState
from inventory.protection_demand import Courses, cumulative_demand, lost_units, protection_demand, supply_by_day, units_to_bring
from inventory.reorder import round_by_worth
from inventory.schema import Inbound, OrderTerms, ReorderPolicy, UnitMoney
from inventory.standing import OneFit, StandingRule
from inventory.targets import find_target

LEAD, REVIEW, RATIO = 3, 2, 0.9
AS_OF = date(2026, 1, 4)
POLICIES = (
    {"method": "path_newsvendor"}, {"method": "path_newsvendor", "min_fill_rate": 0.999}, {"method": "order_up_to"}, {"method": "days_of_cover", "cover_days": 12},
    {"method": "min_max", "min_qty": 25, "max_qty": 60}, {"method": "min_max", "min_qty": 5, "max_qty": 60},
    {"method": "reorder_point", "max_qty": 70}, {"method": "reorder_quantity", "reorder_qty": 7},
)  # fmt: skip
ON_HAND, ARRIVING = 12.0, np.array([0.0, 6.0, 0.0, 0.0, 0.0, 5.0])  # the last comes after lead and review time
PATHS = np.random.default_rng(8).poisson(5.0, size=(200, LEAD + REVIEW)).astype(np.float32)


def state(series: int) -> ReplayState:
    known: Any = SimpleNamespace(observed=np.ones((4, series), dtype=np.bool_), periods_count=4)
    return ReplayState(3, np.full(series, ON_HAND), np.repeat(ARRIVING[:, None], series, axis=1), known)


def rule(policies: tuple[dict[str, Any], ...]) -> StandingRule:
    keys = pl.DataFrame({"sku": [f"s{number}" for number in range(len(policies))], "location_id": "main"})
    terms = {name: pl.Series([one.get(name, 1) for one in policies]) for name in ("pack_qty", "min_order_qty")}
    items = keys.with_columns(lead_periods=pl.lit(LEAD), critical_ratio=pl.lit(RATIO), **terms)

    def numbers(name: str) -> Any:
        return np.array([one.get(name, np.nan) for one in policies], dtype=np.float64)

    def chunks(rows: Any, *, periods: int, seed: int) -> Any:
        yield np.arange(len(rows)), np.repeat(PATHS[None, :, :periods], len(rows), axis=0)

    law: Any = SimpleNamespace(is_whole=np.ones(len(policies), dtype=np.bool_), chunks=chunks, periods=LEAD + REVIEW)
    return StandingRule(
        method=np.array([one["method"] for one in policies]), terms=read_items(keys, items, Policy()),
        rounding_ratio=numbers("rounding_ratio"),
        review_periods=np.full(len(policies), REVIEW), min_qty=numbers("min_qty"), max_qty=numbers("max_qty"),
        reorder_qty=numbers("reorder_qty"), cover_periods=numbers("cover_days"),
        min_fill_rate=numbers("min_fill_rate"), learn=lambda *_, **__: law,
    )  # fmt: skip


def asked_for_one(policy: dict[str, Any], terms: OrderTerms | None = None, ratio: float | None = None) -> int:
    """The daily method, a period being a day; in packs where there are terms, weighed at the ratio where there is one."""
    own = ReorderPolicy(RATIO, REVIEW, 0.25, **policy)
    cumulative, days = cumulative_demand(PATHS), np.full(len(PATHS), LEAD)
    inbound = [Inbound(AS_OF + timedelta(days=number + 1), int(qty)) for number, qty in enumerate(ARRIVING) if qty]
    supply = supply_by_day(PATHS.shape[1], free_qty=int(ON_HAND), inbound=inbound[:1], as_of=AS_OF)
    courses = Courses(cumulative, supply, lost_units(cumulative, supply), days, REVIEW)
    need = units_to_bring(courses)
    protection = protection_demand(cumulative, lead_days=days, review_period_days=REVIEW, service_level=RATIO)
    own_demand = float(PATHS[:, LEAD:].sum(axis=1).mean())
    target = find_target(
        own, ratio=RATIO, money_ratio=None, need=need, own_demand_qty=own_demand, protection=protection, position_qty=int(ON_HAND) + 6
    )
    if terms is None:
        return target.raw_qty
    money = UnitMoney(1.0, 0.0, None)
    return round_by_worth(
        target.raw_qty, need, stock_beside_qty=courses.stock_beside_qty, ratio=ratio, least_qty=target.floor_qty, terms=terms, money=money
    ).qty


def test_every_method_orders_what_a_run_would_order_for_the_item_alone() -> None:
    found = rule(POLICIES).order(state(len(POLICIES)))

    wanted = [max(0, asked_for_one(policy)) for policy in POLICIES]
    assert found.tolist() == wanted
    assert len(set(wanted)) > 4  # else it would say little
    assert wanted[5] == 0  # above its minimum


def test_packs_are_weighed_as_a_run_weighs_them_for_the_item_alone() -> None:
    packs = [(6, 1), (8, 1), (60, 1), (1, 12), (1, 60), (5, 20)]
    kinds: list[dict[str, Any]] = [{"method": "path_newsvendor"}, {"method": "path_newsvendor", "min_fill_rate": 0.99}]
    cases = [(kind, ratio, pack, least) for kind in kinds for ratio in (0.5, 0.8, 0.98) for pack, least in packs]

    rules = rule(tuple(kind | {"rounding_ratio": ratio, "pack_qty": pack, "min_order_qty": least} for kind, ratio, pack, least in cases))

    ordered = rules.order(state(len(cases))).tolist()

    wanted = [asked_for_one(kind, OrderTerms(1, None, least, pack), ratio) for kind, ratio, pack, least in cases]
    assert ordered == wanted
    assert {0, 8, 12} < set(wanted)  # down to nothing, down, and up


def test_nothing_is_ordered_of_a_series_that_was_never_seen() -> None:
    seen = state(2)
    seen.known.observed[:, 1] = False

    found = rule(POLICIES[:2]).order(seen)

    assert found[0] > 0
    assert found[1] == 0


def test_a_method_without_its_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="days_of_cover lacks its parameter"):
        rule(({"method": "days_of_cover"},))


def test_the_spread_is_of_each_items_own_usual_lead_and_review_time() -> None:
    asked: list[int] = []

    def over(periods: int) -> Any:
        asked.append(periods)
        return law

    law: Any = SimpleNamespace(
        is_whole=np.ones(3, dtype=np.bool_), periods=LEAD + REVIEW, over=over,
        chunks=lambda rows, *, periods, seed: [(np.arange(len(rows)), np.zeros((len(rows), 4, periods)))],
    )  # fmt: skip
    three = rule(({"method": "path_newsvendor"},) * 3)
    leads = [np.array([LEAD]), np.array([1, 1, 1, 5]), np.array([LEAD])]

    replace(three, terms=replace(three.terms, leads=leads), learn=lambda *_, **__: law).order(state(3))

    assert asked == [2 + REVIEW]


def test_demand_is_learnt_once_per_period_for_rules_that_share_it() -> None:
    asked = []

    def learn(matrix: Any, *, periods: int, seed: int) -> Any:
        asked.append((matrix.periods_count, periods, seed))
        return object()

    shared, early, late = OneFit(learn), SimpleNamespace(periods_count=4), SimpleNamespace(periods_count=5)
    for matrix in (early, early, late, late):
        shared(matrix, periods=6, seed=0)  # type: ignore[arg-type]  # only the count is looked at

    assert asked == [(4, 6, 0), (5, 6, 0)]
