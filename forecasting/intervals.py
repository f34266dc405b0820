"""Quantiles of demand in single periods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import FloatArray

FEW_ERRORS: Final = 14  # with fewer past errors of its own a series is supposed to vary as an exponential distribution, in part


def daily_quantiles(point: FloatArray, residuals: FloatArray, *, spread: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Quantiles of single periods, [level, period, series], never below zero.

    Three days of 9, 13 and 13 units do not show how much demand varies: where errors are few, the rest of the weight is an
    exponential distribution's of the same mean, whose standard deviation is its mean.

    Args:
        point: [period, series]; mean demand in units.
        residuals: [past period, series]; past errors, NaN where there is none.
        spread: [period, series]; what a residual is multiplied with in that period.
        levels: Probabilities.
    """
    if not levels:
        return np.empty((0, *point.shape))
    ordered = np.sort(residuals, axis=0)  # NaN last
    counts = np.isfinite(residuals).sum(axis=0)
    own = np.minimum(1.0, counts / FEW_ERRORS)
    result = np.empty((len(levels), *point.shape))
    for index, level in enumerate(levels):
        position = level * np.maximum(counts - 1, 0)
        low = np.floor(position).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(counts - 1, 0))
        below = np.take_along_axis(ordered, low[None, :], axis=0)[0]
        above = np.take_along_axis(ordered, high[None, :], axis=0)[0]
        error = np.where(counts > 0, below + (position - low) * (above - below), 0.0)
        supposed = -np.log1p(-level) * point
        result[index] = own * np.maximum(point + spread * error, 0.0) + (1.0 - own) * supposed
    return result
