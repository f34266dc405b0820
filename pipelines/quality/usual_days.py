"""Whether a day looks like the days before it: how many rows it has, and how they spread over what they can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WEEKS: Final = 8  # of history that a day is compared with
LEAST_WEEKS: Final = 4
SIGMAS: Final = 4.0
LEAST_SPREAD: Final = 0.1  # of the usual count: no merchant's days are more alike than that
LEAST_ROWS: Final = 100  # of a day, below which its spread says little
HIGHEST_INDEX: Final = 0.25
_FLOOR: Final = 0.0005  # a share of a kind that was never seen, or is gone
_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class DayCheck:
    """One look at a day.

    Attributes:
        subject: The kind of rows, such as orders.
        measure: `rows`, or the field whose spread was compared.
        value: Rows of the day, or the stability index of the spread.
        usual: The median of the days compared with; None of a spread.
        low: From here on the value is usual.
        high: Up to here it is.
        is_usual: None where there is too little to tell.
        basis: What it was compared with, or why nothing can be told.
    """

    subject: str
    measure: str
    value: float
    usual: float | None
    low: float | None
    high: float | None
    is_usual: bool | None
    basis: str


def judge_count(subject: str, count: int, past: Sequence[int]) -> DayCheck:
    """A day's rows against those of the same weekday in the weeks before.

    The limits are `SIGMAS` robust standard deviations from the median: 1.4826 times the median absolute deviation (Hampel 1974, The
    influence curve and its role in robust estimation), but no narrower than a Poisson count's root or a tenth of the median.

    Args:
        subject: The kind of rows.
        count: Rows of the day.
        past: Rows of the same weekday of each week before, at most `WEEKS`; a week without rows counts as 0.
    """
    if len(past) < LEAST_WEEKS:
        return DayCheck(subject, "rows", count, None, None, None, None, f"only {len(past)} weeks of history, {LEAST_WEEKS} are needed")
    usual = float(median(past))
    deviation = _MAD_TO_SIGMA * float(median(abs(one - usual) for one in past))
    reach = SIGMAS * max(deviation, math.sqrt(usual), LEAST_SPREAD * usual)
    low, high = max(0.0, usual - reach), usual + reach
    is_usual = low <= count <= high and not (count == 0 and usual >= SIGMAS**2)  # a day without any is none of a busy shop
    return DayCheck(subject, "rows", count, usual, round(low, 1), round(high, 1), is_usual, f"the same weekday of {len(past)} weeks before")


def judge_mix(subject: str, measure: str, day: Mapping[str, int], past: Mapping[str, int]) -> DayCheck:
    """How a day's rows spread over kinds, against the days before.

    The population stability index is the sum over kinds of (p - q) ln(p / q) (Siddiqi 2006, Credit Risk Scorecards, ch. 7); above 0.25 the
    population has changed. To that the index that chance alone brings is added, (kinds - 1)(1/n + 1/m) for n and m rows, and `SIGMAS`
    times its standard deviation (Yurdakul and Naranjo 2020, Statistical properties of the population stability index).

    Args:
        subject: The kind of rows.
        measure: What the kinds are of, such as channel_id.
        day: Rows of the day by kind.
        past: Rows of all days compared with, by kind.
    """
    rows, rows_before = sum(day.values()), sum(past.values())
    if rows < LEAST_ROWS or rows_before < LEAST_ROWS * LEAST_WEEKS:
        return DayCheck(subject, measure, 0.0, None, None, None, None, f"only {min(rows, rows_before)} rows")
    kinds = day.keys() | past.keys()
    index = 0.0
    for kind in sorted(kinds):
        share, share_before = max(day.get(kind, 0) / rows, _FLOOR), max(past.get(kind, 0) / rows_before, _FLOOR)
        index += (share - share_before) * math.log(share / share_before)
    freedom, scale = len(kinds) - 1, 1 / rows + 1 / rows_before
    high = HIGHEST_INDEX + scale * (freedom + SIGMAS * math.sqrt(2 * freedom))
    return DayCheck(subject, measure, round(index, 4), None, 0.0, round(high, 4), index <= high, f"{rows:,} rows, {rows_before:,} before")
