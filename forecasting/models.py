"""Point forecasts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasting.schema import SEASON_DAYS

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray


def seasonal_naive(matrix: SeriesMatrix, *, periods: int) -> FloatArray:
    """[period, series]; demand of the same weekday last time it was observed, NaN where it never was.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 5.2.
    """
    weekday = matrix.seasons(0, matrix.periods_count)
    latest = np.full((SEASON_DAYS, matrix.demand.shape[1]), np.nan)
    for day in range(SEASON_DAYS):
        observed, demand = matrix.observed[weekday == day], matrix.demand[weekday == day]
        if observed.shape[0]:
            last = observed.shape[0] - 1 - np.argmax(observed[::-1], axis=0)
            latest[day] = np.where(observed.any(axis=0), np.take_along_axis(demand, last[None, :], axis=0)[0], np.nan)
    return latest[matrix.seasons(matrix.periods_count, periods)]


def seasonal_differences(matrix: SeriesMatrix) -> FloatArray:
    """[day, series]; demand less that of the same weekday a week before, NaN unless both days were observed."""
    both = matrix.observed[SEASON_DAYS:] & matrix.observed[:-SEASON_DAYS]
    return np.where(both, matrix.demand[SEASON_DAYS:] - matrix.demand[:-SEASON_DAYS], np.nan)
