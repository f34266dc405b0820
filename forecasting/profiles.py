"""Seasonal profiles shared between series: a small pool's profile leans on the wider pool's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray

PRIOR_SALES: Final = 100.0  # series-periods with a sale after which a pool's own profile outweighs the wider pool's
FIRST_PRIOR_SALES: Final = 14.0  # the same for all series together, whose wider pool is no season at all


def weekday_profile(matrix: SeriesMatrix, base: FloatArray | None = None) -> FloatArray:
    """Demand per weekday over that of a mean day, [weekday, series], shared within location x category.

    A pool's profile is its own observed over expected units, drawn towards the location's by as many units as
    `PRIOR_SALES` of its sales bring, and the location's in turn towards that of all series; so a small pool has the
    profile of the wider one, and the unit in which demand is counted does not matter. Expected units take each series
    at its own mean, so neither stock-outs nor a changing range bend the profile.

    Args:
        matrix: Daily demand.
        base: [period, series]; factors already known, as of a calendar, on top of which the profile comes.
    """
    weekday, count = matrix.seasons(0, matrix.periods_count), matrix.season_length
    share = matrix.observed if base is None else np.where(matrix.observed, base, 0.0)
    units = np.stack([matrix.demand[weekday == day].sum(axis=0) for day in range(count)])
    days = np.stack([share[weekday == day].sum(axis=0) for day in range(count)])
    expected = days * (units.sum(axis=0) / np.maximum(days.sum(axis=0), 1e-9))
    sales = (matrix.demand > 0).sum(axis=0)
    everyone = np.zeros(units.shape[1], dtype=np.int64)
    profile = np.ones_like(units)
    profile = _pooled(units, expected, sales, everyone, profile, prior_sales=FIRST_PRIOR_SALES)
    for pools in (matrix.pools("location_id"), matrix.pools("location_id", "category")):
        profile = _pooled(units, expected, sales, pools, profile, prior_sales=PRIOR_SALES)
    return profile


def _pooled(
    units: FloatArray, expected: FloatArray, sales: IntArray, pools: IntArray, parent: FloatArray, *, prior_sales: float
) -> FloatArray:
    count = int(pools.max()) + 1
    pool_units, pool_expected = _summed(units, pools, count), _summed(expected, pools, count)
    per_sale = pool_units.sum(axis=0) / np.maximum(np.bincount(pools, weights=sales, minlength=count), 1.0)
    prior = np.maximum(prior_sales / units.shape[0] * per_sale, 1e-300)
    parents = np.ones((units.shape[0], count))
    parents[:, pools] = parent
    ratio = (pool_units + prior * parents) / (pool_expected + prior)
    result: FloatArray = (ratio / ratio.mean(axis=0))[:, pools]
    return result


def _summed(values: FloatArray, pools: IntArray, count: int) -> FloatArray:
    return np.stack([np.bincount(pools, weights=row, minlength=count) for row in values])
