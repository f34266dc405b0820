"""Levels that grow or sink, all series at once; for those who ask: on sparse demand a slope is mostly noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.smoothing import gain, ses_levels

if TYPE_CHECKING:
    from forecasting.schema import FloatArray

SLOPE_WEIGHT: Final = 0.1  # of the level's weight
DAMPING: Final = 0.95


def holt_damped_growth(demand: FloatArray, exposure: FloatArray, *, smoothing: float, periods: int) -> FloatArray:
    """Levels of the coming periods by Holt's method with a damped slope, [period, series] in units per mean period.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 8.2, damped trend.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest period in the level.
        periods: How many to look ahead.
    """
    level, slope, seen = (np.zeros(demand.shape[1]) for _ in range(3))
    for sold, share in zip(demand, exposure, strict=True):
        seen += share
        error = sold - share * (level + DAMPING * slope)
        weight = gain(share, seen, smoothing)
        level = level + DAMPING * slope + weight * error
        # while the level still is a mean of few periods its moves are no slope
        slope = DAMPING * slope + np.where(seen * smoothing > 1.0, SLOPE_WEIGHT * weight * error, 0.0)
    reach = np.cumsum(DAMPING ** np.arange(1, periods + 1))
    result: FloatArray = level + reach[:, None] * slope
    return result


def theta_growth(demand: FloatArray, exposure: FloatArray, *, smoothing: float, periods: int) -> FloatArray:
    """Levels of the coming periods by the theta method: exponential smoothing plus half the slope of the line through all.

    Source: Hyndman and Billah (2003), Unmasking the Theta method, IJF 19, equation 7.

    Args:
        demand: [period, series] in units.
        exposure: [period, series]; share of a mean period, 0 where it was not observed.
        smoothing: Weight of the newest period.
        periods: How many to look ahead.
    """
    count = demand.shape[0]
    time = np.arange(count, dtype=np.float64)[:, None]
    weight = np.maximum(exposure.sum(axis=0), 1e-12)
    centre = (exposure * time).sum(axis=0) / weight
    spread = (exposure * (time - centre) ** 2).sum(axis=0)
    slope = np.divide((demand * (time - centre)).sum(axis=0) - demand.sum(axis=0) / weight * (exposure * (time - centre)).sum(axis=0),
                      spread, out=np.zeros_like(spread), where=spread > 0)  # fmt: skip
    level = ses_levels(demand, exposure, smoothing=smoothing)[-1]
    ahead = np.arange(periods)[:, None] + (1.0 - (1.0 - smoothing) ** count) / smoothing
    result: FloatArray = level + 0.5 * slope * ahead
    return result
