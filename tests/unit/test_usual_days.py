from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.usual_days import HIGHEST_INDEX, judge_count, judge_mix

WEEKS = [164, 171, 158, 160, 180, 155, 166, 149]


@pytest.mark.parametrize(("count", "is_usual"), [(160, True), (98, True), (97, False), (0, False), (226, True), (227, False), (900, False)])
def test_a_day_is_unusual_four_robust_deviations_from_the_same_weekday(count: int, is_usual: bool) -> None:
    check = judge_count("orders", count, WEEKS)

    assert (check.usual, check.is_usual) == (162.0, is_usual)


def test_one_wild_week_does_not_widen_what_is_usual_much() -> None:
    calm, wild = judge_count("orders", 100, WEEKS), judge_count("orders", 100, [*WEEKS[:-1], 2000])

    assert calm.high is not None
    assert wild.high is not None
    assert wild.high < 1.5 * calm.high


def test_few_weeks_tell_nothing() -> None:
    check = judge_count("orders", 0, [160, 170, 150])

    assert check.is_usual is None
    assert check.basis == "only 3 weeks of history, 4 are needed"


def test_a_quiet_merchant_may_have_a_day_without_any() -> None:
    assert judge_count("orders", 0, [3, 5, 2, 4, 6, 3, 2, 5]).is_usual


def test_the_index_of_a_spread_is_the_textbook_sum() -> None:
    check = judge_mix("orders", "channel_id", {"web": 600, "store": 400}, {"web": 5000, "store": 5000})

    assert check.value == pytest.approx(0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5), abs=1e-4)
    assert check.is_usual


def test_a_field_that_is_empty_all_of_a_sudden_is_unusual() -> None:
    check = judge_mix("orders", "channel_id", {"(none)": 300}, {"web": 9000, "store": 4000})

    assert check.is_usual is False
    assert check.value > 1


def test_few_rows_say_nothing_of_a_spread() -> None:
    assert judge_mix("orders", "channel_id", {"web": 99}, {"web": 9000}).is_usual is None


@given(st.lists(st.integers(50, 2000), min_size=2, max_size=12), st.integers(1, 20))
def test_a_day_that_spreads_as_before_is_usual_whatever_the_kinds(counts: list[int], weeks: int) -> None:
    day = {str(kind): count for kind, count in enumerate(counts)}

    check = judge_mix("orders", "kind", day, {kind: count * weeks for kind, count in day.items()})

    assert check.is_usual is not False
    assert check.value == 0.0
    assert check.high is None or check.high >= HIGHEST_INDEX
