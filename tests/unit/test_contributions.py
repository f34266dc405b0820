"""What a change is made of: parts that add up exactly, on numbers a reader can follow."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stores.contributions import Breakdown, Kind, Member, break_down, unusualness

if TYPE_CHECKING:
    from collections.abc import Sequence

amounts = st.one_of(
    st.integers(-1000, 10**6), st.floats(-1e3, 1e6, allow_nan=False), st.decimals(-1000, 10**6, places=2, allow_nan=False, allow_infinity=False)
)  # fmt: skip
rows = st.lists(st.tuples(amounts, amounts, amounts, amounts), min_size=1, max_size=8)


def broken_down(kind: Kind, *rows: tuple[float, float, float, float]) -> Breakdown:
    """Rows are a member's numerator and denominator before, then now; members are called a, b, c, ..."""
    found = break_down("channel", [Member(chr(ord("a") + i), *row) for i, row in enumerate(rows)], kind)
    assert found is not None
    return found


@given(rows)
def test_parts_of_a_ratio_add_up_to_its_change_to_the_last_digit(rows: list[tuple[float, float, float, float]]) -> None:
    n0, d0, n1, d1 = (sum(map(Fraction, column)) for column in zip(*rows, strict=True))
    found = break_down("channel", [Member(str(i), *row) for i, row in enumerate(rows)], "ratio")

    if not (d0 and d1):
        assert found is None
        return
    assert found is not None
    assert found.change == n1 / d1 - n0 / d0
    assert sum(part.total for part in found.named) + found.rest == found.change
    assert all(part.total == (part.rate or 0) + (part.mix or 0) for part in found.named)


@given(rows)
def test_every_members_part_is_its_rate_and_its_weight_against_the_whole(rows: list[tuple[float, float, float, float]]) -> None:
    n0, d0, _, d1 = (sum(map(Fraction, column)) for column in zip(*rows, strict=True))
    found = break_down("channel", [Member(str(i), *row) for i, row in enumerate(rows)], "ratio") if d0 and d1 else None

    for part in found.named if found else ():
        row = [Fraction(amount) for amount in rows[int(part.name)]]
        if row[1] and row[3]:
            w0, w1, r0, r1 = row[1] / d0, row[3] / d1, row[0] / row[1], row[2] / row[3]
            assert (part.rate, part.mix) == (w1 * (r1 - r0), (w1 - w0) * (r0 - n0 / d0))


@given(rows)
def test_parts_of_a_sum_add_up_too(rows: list[tuple[float, float, float, float]]) -> None:
    found = broken_down("sum", *rows)

    assert found.change == sum(Fraction(row[2]) - Fraction(row[0]) for row in rows)
    assert sum(part.total for part in found.named) + found.rest == found.change


@given(rows, st.integers(0, 2))
def test_what_is_shown_adds_up_as_shown(rows: list[tuple[float, float, float, float]], digits: int) -> None:
    change, named, rest = broken_down("sum", *rows).rounded(digits=digits)

    assert sum(named) + rest == pytest.approx(change, abs=1e-6)


def test_a_rate_that_fell_and_a_weight_that_grew_are_told_apart() -> None:
    found = broken_down("ratio", (90, 100, 30, 50), (50, 100, 50, 100), (60, 100, 120, 200))

    assert (found.change, [part.name for part in found.named]) == (Fraction(200, 350) - Fraction(2, 3), ["a"])
    assert found.named[0].rate == Fraction(1, 7) * (Fraction(60, 100) - Fraction(90, 100))
    assert found.named[0].mix == (Fraction(1, 7) - Fraction(1, 3)) * (Fraction(90, 100) - Fraction(2, 3))


def test_a_member_that_is_new_changed_the_weights_and_no_rate() -> None:
    found = broken_down("ratio", (50, 100, 50, 100), (0, 0, 100, 100))

    (part,) = found.named
    assert (part.name, part.rate, part.before, part.value) == ("b", Fraction(0), None, Fraction(1))
    assert found.change == Fraction(1, 4)


def test_a_share_is_compared_over_the_whole_of_its_own_period() -> None:
    found = broken_down("share", (4, 100, 9, 300), (1, 100, 30, 300))

    assert (found.change, [(part.name, part.total) for part in found.named]) == (
        Fraction(39, 300) - Fraction(5, 100),
        [("b", Fraction(9, 100))],
    )
    assert found.rest == Fraction(-1, 100)


def test_the_few_that_moved_more_than_their_size_are_named_and_at_most_three() -> None:
    one = broken_down("sum", (1000, 0, 1000, 0), (1000, 0, 1001, 0), (50, 0, 150, 0))
    four = broken_down("sum", *[(10, 0, 110, 0)] * 4, *[(1000, 0, 1000, 0)] * 4)

    assert ([part.name for part in one.named], one.rest, one.rest_count) == (["c"], Fraction(1), 2)
    assert one.concentration == pytest.approx(100 / 101 - 200 / 4201)
    assert (len(four.named), four.rest, four.rest_count) == (3, Fraction(100), 5)


def test_a_change_in_proportion_to_size_is_concentrated_on_nobody() -> None:
    found = broken_down("sum", (100, 0, 110, 0), (10, 0, 11, 0), (1, 0, 1.1, 0))

    assert found.concentration == pytest.approx(0)


def test_what_rounding_leaves_over_is_the_rests_or_the_largest_parts() -> None:
    with_rest = broken_down("sum", (0, 0, 10.04, 0), (100, 0, 100.04, 0), (100, 0, 100.04, 0))
    without = replace(broken_down("sum", (0, 0, 10.04, 0)), change=Fraction(101, 10))

    change, named, rest = with_rest.rounded(digits=1)
    assert (change, named, round(rest, 9)) == (10.1, [10.0], 0.1)
    assert without.rounded(digits=1) == (10.1, [10.1], 0.0)


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7], 0.6745 * (10 - 4) / 2),  # Iglewicz and Hoaglin: median 4, median deviation 2
        ([4, 4, 4, 4, 4, 4, 11], 0.7979 * (10 - 4) / 1),
        ([4] * 7, math.inf),
        ([4] * 5, None),
    ],
)
def test_a_change_is_as_unusual_as_it_is_far_from_the_median_of_the_earlier_ones(past: Sequence[float], expected: float | None) -> None:
    assert unusualness(10, past) == (None if expected is None else pytest.approx(expected))
