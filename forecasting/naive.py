"""Seasonal naive: the same day last week, the same week or month last year. Every other model is measured against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasting.intervals import daily_quantiles
from forecasting.schema import RESIDUAL_PERIODS

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray


def naive_outlook(
    matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...]
) -> tuple[FloatArray, FloatArray, list[str | None]]:  # fmt: skip
    """Mean [period, series], quantiles [level, period, series] and, per series, why its last season was not all there was to it.

    The spread grows with the root of the number of seasons ahead.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), table 5.2.
    """
    point = seasonal_naive(matrix, periods=periods)
    is_known, last = np.isfinite(point), _latest(matrix)
    seasons = np.arange(periods) // season_lag(matrix) + 1.0
    point = np.where(is_known, point, last)
    spread = np.sqrt(seasons)[:, None] * np.ones_like(point)
    residuals = seasonal_differences(matrix)[-RESIDUAL_PERIODS[matrix.frequency] :]
    quantiles = daily_quantiles(point, residuals, spread=spread, levels=levels)
    unit = matrix.period_name
    reasons = [
        None if whole else f"not every {unit} of a season was seen: the latest {unit}'s demand" if ever else
        f"no {unit} in stock, so nothing is known of its demand"
        for whole, ever in zip(np.all(is_known, axis=0), np.isfinite(last), strict=True)
    ]  # fmt: skip
    return point, quantiles, reasons


def seasonal_naive(matrix: SeriesMatrix, *, periods: int) -> FloatArray:
    """[period, series]; demand of the same place in the season last time it was observed, NaN where it never was.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 5.2.
    """
    past, coming = matrix.seasons(0, matrix.periods_count), matrix.seasons(matrix.periods_count, periods)
    result = np.full((periods, matrix.demand.shape[1]), np.nan)
    for place in np.unique(coming).tolist():
        observed, demand = matrix.observed[past == place], matrix.demand[past == place]
        if observed.shape[0]:
            last = observed.shape[0] - 1 - np.argmax(observed[::-1], axis=0)
            latest = np.take_along_axis(demand, last[None, :], axis=0)[0]
            result[coming == place] = np.where(observed.any(axis=0), latest, np.nan)
    return result


def seasonal_differences(matrix: SeriesMatrix) -> FloatArray:
    """[period, series]; demand less that of a season before, NaN unless both were observed; of one period before in short histories."""
    lag = season_lag(matrix)
    both = matrix.observed[lag:] & matrix.observed[:-lag]
    return np.where(both, matrix.demand[lag:] - matrix.demand[:-lag], np.nan)


def season_lag(matrix: SeriesMatrix) -> int:
    """Periods between a period and the one it is compared with: a season, or one where the history is no longer than that."""
    return matrix.season_length if matrix.periods_count > matrix.season_length else 1


def _latest(matrix: SeriesMatrix) -> FloatArray:
    last = matrix.periods_count - 1 - np.argmax(matrix.observed[::-1], axis=0)
    latest = np.take_along_axis(matrix.demand, last[None, :], axis=0)[0]
    return np.where(matrix.observed.any(axis=0), latest, np.nan)
