"""How far all series together were off in the past, and how much of it to expect again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.schema import LEAST_FIT_PERIODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.pooled import PooledFit
    from forecasting.schema import Frequency

MOST_WINDOWS: Final = 8
LEAST_WINDOWS: Final = 4  # fewer do not say what is noise
SHORTEST: Final[Mapping[Frequency, int]] = {"daily": 28, "weekly": 4, "monthly": 3}  # shorter windows are off together for a passing reason
SHARE_KEPT: Final = 0.5  # of a past error in the coming window; docs/methods/forecasting.md has the figures


def drift_factor(fit: PooledFit, *, periods: int) -> float:
    """What a forecast is multiplied with so that total demand that keeps falling or rising is not met late each time.

    With e the log of units sold over units that the levels of that time expected, in up to `MOST_WINDOWS` windows one after
    the other: exp(`SHARE_KEPT` x m (1 - s^2 / m^2)), m the mean of e and s its standard error; 1 where s is above m or
    windows are few. Only series known before a window count, and of it their periods in stock.

    Source: James and Stein (1961), Estimation with quadratic loss, positive part, for drawing the mean to zero by its own noise.

    Args:
        fit: Levels as they were known at each time.
        periods: How far ahead.
    """
    matrix = fit.matrix
    length = max(periods, SHORTEST[matrix.frequency])
    errors: list[float] = []
    for start in range(matrix.periods_count - length, 0, -length)[:MOST_WINDOWS]:
        window, level = slice(start, start + length), fit.levels[start]
        is_known = matrix.observed[:start].sum(axis=0) >= LEAST_FIT_PERIODS[matrix.frequency]
        # in-stock periods one by one: windows without a stock-out would be those of small demand
        share = np.where(matrix.observed[window], fit.profile[window], 0.0).sum(axis=0)
        expected, sold = float((level * share)[is_known].sum()), float(matrix.demand[window][:, is_known].sum())
        if expected <= 0 or sold <= 0:
            break
        errors.append(np.log(sold / expected))
    if len(errors) < LEAST_WINDOWS:
        return 1.0
    mean, noise = float(np.mean(errors)), float(np.var(errors, ddof=1)) / len(errors)
    return float(np.exp(SHARE_KEPT * mean * (1.0 - noise / mean**2))) if mean**2 > noise else 1.0
