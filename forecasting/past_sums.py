"""Past demand over windows of one length, beside what would have been forecast for each before it began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.schema import LEAST_FIT_PERIODS, RESIDUAL_PERIODS

if TYPE_CHECKING:
    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, PathArray

LEAST_EXPOSURE_RATE: Final = 0.75  # share of a window that has to be in stock for its error to say how far demand strays
SERIES_AT_ONCE: Final = 4_000  # bounds the working memory


@dataclass(frozen=True, slots=True)
class PastSums:
    """Windows as [origin, series]; row 0 begins with the first period that is looked at.

    Attributes:
        expected: The forecast sum in units, 0 where there was none.
        error: Demand less forecast in units; where part of a window was out of stock, carried over to the whole from the rest.
        least_error: The same with nothing added for periods out of stock; demand was at least so far above the forecast.
        is_usable: Enough of the window was in stock for `error` to say how far demand strays.
        is_exact: All of it was observed.
        is_floor: Some of it was censored.
    """

    expected: PathArray
    error: PathArray
    least_error: PathArray
    is_usable: BoolArray
    is_exact: BoolArray
    is_floor: BoolArray


def past_sums(fit: PooledFit, *, periods: int) -> PastSums:
    """All windows of so many periods that ended by the last one, at most as far back as residuals go.

    A window counts once a series has been observed for `LEAST_FIT_PERIODS` before it and had a forecast above zero.
    """
    matrix = fit.matrix
    first = max(0, matrix.periods_count - RESIDUAL_PERIODS[matrix.frequency] - periods)
    shape = (max(0, matrix.periods_count - periods + 1 - first), matrix.keys.height)
    expected, error, least_error = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    is_usable, is_exact, is_floor = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    result = PastSums(expected, error, least_error, is_usable, is_exact, is_floor)
    for start in range(0, shape[1] if shape[0] else 0, SERIES_AT_ONCE):
        _fill(result, fit, slice(start, start + SERIES_AT_ONCE), first=first, periods=periods)
    return result


def _fill(result: PastSums, fit: PooledFit, part: slice, *, first: int, periods: int) -> None:
    matrix, rows = fit.matrix, slice(first, None)
    observed, censored, profile = matrix.observed[rows, part], matrix.censored[rows, part], fit.profile[rows, part]
    seen, whole = _sums(np.where(observed, profile, 0.0), periods), _sums(profile, periods)
    sold, cut = _sums(matrix.demand[rows, part], periods), _sums(censored, periods) > 0
    before = matrix.observed[:first, part].sum(axis=0) + np.cumsum(observed, axis=0) - observed
    level = fit.levels[first : first + len(whole), part]
    is_known = (before[: len(whole)] >= LEAST_FIT_PERIODS[matrix.frequency]) & (level > 0) & (whole > 0)
    expected = np.where(is_known, level * whole, 0.0)
    share = np.divide(seen, whole, out=np.zeros_like(seen), where=whole > 0)
    result.expected[:, part] = expected
    result.error[:, part] = np.where(is_known, np.divide(sold, share, out=sold.copy(), where=share > 0) - expected, 0.0)
    result.least_error[:, part] = np.where(is_known, sold - expected, 0.0)
    result.is_usable[:, part] = is_known & (share >= LEAST_EXPOSURE_RATE)
    result.is_exact[:, part] = is_known & (_sums(observed, periods) == periods)
    result.is_floor[:, part] = is_known & cut


def _sums(values: FloatArray | BoolArray, periods: int) -> FloatArray:
    total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    result: FloatArray = total[periods:] - total[:-periods]
    return result
