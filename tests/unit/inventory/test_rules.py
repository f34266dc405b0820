"""Policy rules: which of them holds for an item on a day, and what they come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.rules import SCOPES, PolicyRule, RuleScope, RuleValues, resolve

DAY = date(2026, 10, 15)
ITEMS = pl.DataFrame(
    {
        "sku": ["T-1", "T-1", "T-2", "C-1"],
        "location_id": ["STORE", "DC", "STORE", "STORE"],
        "category": ["Tea", "Tea", "Tea", None],
        "abc_class": ["A", "A", "C", "B"],
    }
)


def rule(rule_id: str, values: RuleValues | None = None, *, version: int = 1, age: int = 0, **facts: Any) -> PolicyRule:
    """A rule for what `facts` name, written `age` days before another of age 0."""
    scope = RuleScope(**{name: facts.pop(name) for name in SCOPES if name in facts})
    facts = {"valid_from": date(2026, 1, 1), "created_at": datetime(2026, 1, 1) - timedelta(days=age)} | facts
    return PolicyRule(rule_id, version, scope, values or RuleValues(service_level=0.9), **facts)


def level(value: float) -> RuleValues:
    return RuleValues(service_level=value)


def levels(*rules: PolicyRule, on: date = DAY) -> list[float | None]:
    return resolve(ITEMS, rules, on=on).frame["service_level"].to_list()


def test_the_narrowest_scope_wins_and_names_its_rule() -> None:
    rules = [
        rule("all", level(0.90)),
        rule("a", level(0.98), abc_class="A"),
        rule("tea", level(0.95), category="Tea"),
        rule("dc", level(0.93), location_id="DC"),
        rule("one", level(0.99), sku="T-2"),
    ]

    frame = resolve(ITEMS, rules, on=DAY).frame

    assert frame["service_level"].to_list() == [0.95, 0.93, 0.99, 0.90]
    assert frame["service_level_rule"].to_list() == ["tea/1", "dc/1", "one/1", "all/1"]


def test_a_wide_rule_wins_over_no_narrow_one_whatever_its_priority() -> None:
    assert levels(rule("all", level(0.9), priority=99), rule("tea", level(0.95), category="Tea"))[:3] == [0.95] * 3


def test_of_one_scope_priority_decides_and_then_age() -> None:
    old, new = rule("old", level(0.91), age=5), rule("new", level(0.92))

    assert levels(old, new) == [0.92] * 4
    assert levels(replace(old, priority=1), new) == [0.91] * 4


def test_a_rule_for_a_time_goes_before_one_for_good() -> None:
    assert levels(rule("all", level(0.9)), rule("autumn", level(0.97), age=9, season=("09-01", "11-30"))) == [0.97] * 4


def test_every_setting_is_settled_by_itself_and_all_rules_are_named() -> None:
    rules = [rule("all", RuleValues(service_level=0.9, review_period_days=7)), rule("c", RuleValues(review_period_days=28), abc_class="C")]

    frame = resolve(ITEMS, rules, on=DAY).frame

    assert frame.row(2, named=True)["service_level_rule"] == "all/1"
    assert frame["review_period_days"].to_list() == [7, 7, 28, 7]
    assert frame["policy_rules"].to_list() == ["all/1", "all/1", "all/1, c/1", "all/1"]


def test_where_no_rule_speaks_nothing_is_set() -> None:
    frame = resolve(ITEMS, [rule("c", sku="none of these")], on=DAY).frame

    assert frame["service_level"].null_count() == 4
    assert frame["policy_rules"].to_list() == [""] * 4


@pytest.mark.parametrize(
    ("season", "holding"),
    [
        (("10-01", "12-31"), {"2026-10-01", "2026-10-15", "2026-12-31"}),
        (("12-01", "02-29"), {"2026-12-31", "2027-01-15", "2028-02-29"}),
        (("10-15", "10-15"), {"2026-10-15"}),
    ],
    ids=["within a year", "over its turn", "one day"],
)
def test_a_season_comes_again_each_year_and_may_go_over_its_turn(season: tuple[str, str], holding: set[str]) -> None:
    one = rule("s", season=season)
    days = ["2026-09-30", "2026-10-01", "2026-10-15", "2026-12-31", "2027-01-15", "2028-02-29", "2027-03-01"]

    assert {day for day in days if one.holds_on(date.fromisoformat(day))} == holding


def test_a_rule_holds_on_its_first_and_last_day_and_on_none_beside() -> None:
    one = rule("s", valid_from=DAY, valid_to=DAY + timedelta(days=1))

    assert [one.holds_on(DAY + timedelta(days=days)) for days in (-1, 0, 1, 2)] == [False, True, True, False]


def test_a_later_version_takes_over_on_its_first_day_and_may_end_the_rule() -> None:
    first, second = rule("r", level(0.9)), rule("r", level(0.95), version=2, valid_from=DAY)
    ended = rule("r", level(0.95), version=3, valid_from=DAY + timedelta(days=5), valid_to=DAY + timedelta(days=5))

    assert [levels(first, second, ended, on=DAY + timedelta(days=days))[0] for days in (-1, 0, 4, 5, 6)] == [0.9, 0.95, 0.95, 0.95, None]


def test_a_row_without_what_the_scope_names_is_not_in_it() -> None:
    assert levels(rule("web", channel_id="web")) == [None] * 4
    assert levels(rule("tea", category="Tea"))[3] is None


def test_rules_of_one_scope_that_want_different_values_are_named() -> None:
    found = resolve(ITEMS, [rule("old", level(0.9), age=1, category="Tea"), rule("new", level(0.95), category="Tea")], on=DAY)

    assert found.conflicts.rows() == [("service_level", "new/1", "old/1", 3)]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (rule("new", level(0.9), category="Tea"), "the same value"),
        (rule("new", level(0.95), category="Tea", priority=1), "another priority"),
        (rule("new", level(0.95), category="Coffee"), "another scope"),
        (rule("new", RuleValues(review_period_days=3), category="Tea"), "another setting"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_rules_that_do_not_contradict_are_no_conflict(second: PolicyRule, why: str) -> None:
    assert resolve(ITEMS, [rule("old", level(0.9), age=1, category="Tea"), second], on=DAY).conflicts.is_empty(), why


def test_conflicts_are_found_between_rules_that_others_were_written_between() -> None:
    rules = [
        rule("old", level(0.9), age=3, category="Tea"),
        rule("other", level(0.8), age=2, category="Mugs"),
        rule("new", level(0.95), category="Tea"),
    ]

    assert resolve(ITEMS, rules, on=DAY).conflicts["other_rule"].to_list() == ["old/1"]


def test_rules_that_together_leave_no_policy_are_named_item_by_item() -> None:
    rules = [
        rule("how", RuleValues(method="min_max", min_qty=10), category="Tea"),
        rule("most", RuleValues(max_qty=5), sku="T-1"),
    ]

    problems = resolve(ITEMS, rules, on=DAY).problems

    assert problems.rows() == [
        ("T-1", "STORE", "min_qty 10 (how/1) is above max_qty 5 (most/1)."),
        ("T-1", "DC", "min_qty 10 (how/1) is above max_qty 5 (most/1)."),
        ("T-2", "STORE", "Method min_max needs min_qty and max_qty."),
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "sets nothing"),
        ({"service_level": 1.0}, "service_level is a share"),
        ({"service_level": float("nan")}, "service_level is a share"),
        ({"min_fill_rate": 1.1}, "min_fill_rate is a share"),
        ({"method": "magic"}, "no method 'magic'"),
        ({"review_period_days": 0}, "review_period_days is too small"),
        ({"min_qty": -1}, "min_qty is too small"),
        ({"reorder_qty": 0}, "reorder_qty is too small"),
        ({"max_qty": 10**13}, "too large"),
        ({"min_qty": 9, "max_qty": 8}, "above max_qty 8"),
        ({"budget_amount": Decimal(100)}, "both or neither"),
        ({"budget_amount": Decimal(100), "budget_currency_code": "euro"}, "three capital letters"),
        ({"budget_amount": Decimal("NaN"), "budget_currency_code": "EUR"}, "budget_amount is too small"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_values_that_cannot_be_meant_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rule("r", RuleValues(**wrong))


@pytest.mark.parametrize("season", [("10-1", "12-31"), ("02-30", "03-01"), ("13-01", "12-31"), ("04-31", "05-01")])
def test_a_season_is_made_of_days_that_exist(season: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="season"):
        rule("r", season=season)


def test_a_rule_that_holds_on_no_day_is_refused() -> None:
    with pytest.raises(ValueError, match="holds on no day"):
        rule("r", valid_to=date(2025, 12, 31))


def test_items_have_a_place() -> None:
    with pytest.raises(ValueError, match="lack location_id"):
        resolve(ITEMS.drop("location_id"), [], on=DAY)


_RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(["r", "s", "t"]),
        st.builds(RuleValues, service_level=st.sampled_from([0.8, 0.9]), review_period_days=st.sampled_from([None, 7, 28])),
        version=st.integers(1, 3),
        age=st.integers(0, 2),
        priority=st.integers(0, 1),
        sku=st.sampled_from([None, "T-1"]),
        location_id=st.sampled_from([None, "STORE"]),
        abc_class=st.sampled_from([None, "A", "C"]),
        season=st.sampled_from([None, ("10-01", "01-31"), ("01-01", "06-30")]),
    ),
    max_size=7,
    unique_by=lambda one: (one.rule_id, one.version),
)


@settings(max_examples=60)
@given(rules=_RULES, order=st.randoms(use_true_random=False))
def test_neither_the_order_of_rules_nor_that_of_items_has_an_effect(rules: list[PolicyRule], order: Any) -> None:
    shuffled, rows = rules[:], list(range(ITEMS.height))
    order.shuffle(shuffled)
    order.shuffle(rows)

    found, again = resolve(ITEMS, rules, on=DAY), resolve(ITEMS[rows], shuffled, on=DAY)

    assert again.frame.equals(found.frame[rows])
    assert again.conflicts.sort(pl.all()).equals(found.conflicts.sort(pl.all()))


@settings(max_examples=60)
@given(rules=_RULES)
def test_each_item_takes_each_setting_from_the_strongest_rule_that_is_for_it(rules: list[PolicyRule]) -> None:
    frame = resolve(ITEMS, rules, on=DAY).frame

    newest = {one.rule_id: max((two for two in rules if two.rule_id == one.rule_id), key=lambda two: two.version) for one in rules}
    for item in frame.iter_rows(named=True):
        for setting in ("service_level", "review_period_days"):
            fitting = [
                one for one in newest.values()
                if one.holds_on(DAY) and getattr(one.values, setting) is not None
                and all(item[name] == value for name, value in one.scope.named.items())
            ]  # fmt: skip
            strongest = max(fitting, key=_documented_strength, default=None)
            assert item[f"{setting}_rule"] == (strongest.name if strongest else None)
            assert item[setting] == (getattr(strongest.values, setting) if strongest else None)


def _documented_strength(one: PolicyRule) -> tuple[Any, ...]:
    weight = sum(2 ** (len(SCOPES) - place) for place, name in enumerate(SCOPES) if name in one.scope.named) + one.is_limited
    return weight, one.priority, one.created_at, one.rule_id
