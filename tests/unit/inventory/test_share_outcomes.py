"""The same units as they left for the lines of a shortage, given to them in another order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.share_outcomes import SharedLines, measure_shares, share_verdict

WANTED = np.array([10.0, 20.0, 50.0])
SPLIT = np.array([6.0, 13.0, 31.0])


def test_first_come_first_served_fills_the_oldest_line_and_the_split_its_shares() -> None:
    sent = np.array([[0.0, 0.0, 40.0], [0.0, 10.0, 10.0]])

    found = measure_shares(SharedLines(WANTED, SPLIT, sent, np.array([2, 2, 2])))

    assert found.late.tolist() == [10, 10, 0]
    assert found.late_in_turn.tolist() == [0, 0, 20]
    assert found.late_as_proposed.tolist() == [0, 1, 19]  # the shares of 50 and then 10 more, the oldest lines first


def test_a_line_is_late_by_its_own_day_and_one_without_a_day_never() -> None:
    sent = np.array([[0.0, 0.0, 8.0], [10.0, 0.0, 0.0]])

    found = measure_shares(SharedLines(WANTED, SPLIT, sent, np.array([1, 2, 0])))

    assert found.late.tolist() == [10, 20, 0]
    assert found.late_in_turn.tolist() == [2, 12, 0]
    assert found.late_as_proposed.tolist() == [4, 8, 0]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6),
)
def test_whoever_gets_the_units_as_many_are_late_where_all_are_due_together(lines: list[tuple[int, int, int, int]]) -> None:
    wanted, proposed, first, second = (np.array(column, dtype=np.float64) for column in zip(*lines, strict=True))

    found = measure_shares(SharedLines(wanted, proposed, np.stack([first, second]), np.full(len(lines), 2)))

    assert found.late.sum() == pytest.approx(found.late_in_turn.sum()) == pytest.approx(found.late_as_proposed.sum())
    assert (np.stack([found.late_in_turn, found.late_as_proposed]) >= 0).all()


@pytest.mark.parametrize(
    ("late_without", "averted_qty", "averted_amount", "verdict"),
    [
        (0.4, 0.4, 300.0, "unneeded"),
        (30.0, 5.0, np.nan, "averted"),
        (30.0, 0.0, 4_400.0, "averted"),
        (30.0, 5.0, -4_400.0, "insufficient"),
        (30.0, 0.0, np.nan, "insufficient"),
    ],
)
def test_a_split_was_right_where_it_saved_margin_or_units(
    late_without: float, averted_qty: float, averted_amount: float, verdict: str
) -> None:
    assert share_verdict(late_without, averted_qty, averted_amount) == verdict
