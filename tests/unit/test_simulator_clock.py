"""Local time of the simulation against UTC, around changes of clocks."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.simulator.clock import DAY, HOUR, NEVER, Clock, stream

CLOCK = Clock(date(2026, 3, 1), 240, "Europe/Berlin")  # holds both changes of clocks of 2026
SPRING, AUTUMN = (date(2026, 3, 29) - CLOCK.start).days, (date(2026, 10, 25) - CLOCK.start).days


@pytest.mark.parametrize(
    ("moment", "utc"),
    [
        (0, datetime(2026, 2, 28, 23)),
        (SPRING * DAY + 2 * HOUR - 1, datetime(2026, 3, 29, 0, 59, 59)),
        (SPRING * DAY + 2 * HOUR + 1800, datetime(2026, 3, 29, 1)),  # an hour that is skipped is one instant
        (SPRING * DAY + 3 * HOUR, datetime(2026, 3, 29, 1)),
        ((SPRING + 1) * DAY, datetime(2026, 3, 29, 22)),
        (AUTUMN * DAY + 2 * HOUR + 1800, datetime(2026, 10, 25, 0, 30)),  # an hour that is repeated counts as its first time
        (AUTUMN * DAY + 3 * HOUR, datetime(2026, 10, 25, 2)),
        (-DAY, datetime(2026, 2, 27, 23)),
    ],
)
def test_local_moments_become_utc(moment: int, utc: datetime) -> None:
    assert CLOCK.utc(moment) == utc


@given(st.lists(st.integers(0, 240 * DAY - 1), min_size=2, max_size=50))
def test_local_order_is_utc_order(moments: list[int]) -> None:
    utc = CLOCK.to_utc(np.sort(np.array(moments, dtype=np.int64)))

    assert (np.diff(utc.astype(np.int64)) >= 0).all()


def test_what_never_happens_has_no_time() -> None:
    assert np.isnat(CLOCK.to_utc(np.array([NEVER, 2 * NEVER]))).all()


def test_working_days_skip_sundays() -> None:
    sunday = int(np.flatnonzero(CLOCK.weekday == 6)[1])

    assert CLOCK.working_day(np.array([sunday, sunday + 1])).tolist() == [sunday + 1, sunday + 1]
    assert CLOCK.working_day(np.array([sunday - 1]), 1).tolist() == [sunday + 1]


def test_the_local_day_of_the_end_of_data_is_the_number_of_days_lived() -> None:
    assert CLOCK.day_of_utc(CLOCK.utc(CLOCK.now)) == CLOCK.total_days


def test_a_longer_draw_from_a_stream_starts_with_the_shorter_one() -> None:
    short, long = stream(7, "demand").poisson(3.0, (5, 4)), stream(7, "demand").poisson(3.0, (9, 4))

    assert (long[:5] == short).all()
    assert (stream(7, "other").poisson(3.0, (5, 4)) != short).any()
