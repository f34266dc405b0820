"""Quantities too large to be demand count as a large one before anything is learnt from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import FloatArray

TIMES: Final = 20.0  # a quantity above so many times what a large one of its series is, is none
LARGE: Final = 0.9  # quantile of a series' quantities that counts as a large one
LEAST_SALES: Final = 5  # fewer do not say what is large: then that of all series counts


def cut_outliers(demand: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Demand without absurd quantities, and per series the limit that one of its quantities was above, else NaN.

    A large quantity is the series' own 90th percentile of periods with a sale, or that of all series where it has fewer than
    `LEAST_SALES`; the limit is `TIMES` that, and what is above it counts as a large one. Lumpy demand stays: a series whose large
    quantities come again has a high percentile.

    Args:
        demand: [period, series] in units.
    """
    limits = np.full(demand.shape[1], np.nan)
    highest, sales = demand.max(axis=0), (demand > 0).sum(axis=0)
    others = np.maximum(demand.sum(axis=0) - highest, 0.0) / np.maximum(sales - 1, 1)
    wide = float(np.quantile(others[others > 0], LARGE)) if (others > 0).any() else np.inf
    large = np.maximum(others, wide)
    suspect = (highest > TIMES * others) & (sales >= LEAST_SALES)
    for series in np.flatnonzero(suspect).tolist():
        large[series] = np.quantile(demand[demand[:, series] > 0, series], LARGE, method="lower")
    cut = np.flatnonzero((highest > TIMES * large) & (suspect | (sales < LEAST_SALES)))
    if not len(cut):
        return demand, limits
    limits[cut] = TIMES * large[cut]
    result = demand.copy()
    result[:, cut] = np.where(demand[:, cut] > limits[cut], large[cut], demand[:, cut])
    return result, limits


def cut_reasons(limits: FloatArray) -> list[str | None]:
    """Per series, what was done to it; None where nothing was.

    Args:
        limits: As `cut_outliers` gives them.
    """
    return [None if np.isnan(limit) else f"quantities above {limit:.4g} count as {limit / TIMES:.4g}" for limit in limits.tolist()]
