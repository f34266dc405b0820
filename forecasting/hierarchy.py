"""Forecasts of items and of their sums brought together: what a sum knows better moves all its items a little."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.smoothing import ses_levels

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray

MOST_SUMS: Final = 1_000  # sums fitted at once; finer groupings are left out
MOST_COLUMNS: Final = 3  # groupings by location and by item that are crossed, "all" not counted
FASTER: Final = 2.0  # sums are less noisy than items and follow demand twice as fast


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Sums of series, each with what it sells of what its series' own means say.

    Attributes:
        groups: Per grouping, the number of each series' sum.
        means: Units per mean period of each series, over all its past.
        ratios: Per grouping, the smoothed ratio of each sum to its series' means.
    """

    groups: tuple[IntArray, ...]
    means: FloatArray
    ratios: tuple[FloatArray, ...]

    def reconciled(self, profile: FloatArray, level: FloatArray) -> FloatArray:
        """The profile as changed by all sums together, [period, series].

        Args:
            profile: [period, series]; of the coming periods.
            level: Per series, units per mean period.
        """
        point = profile * level
        totals = [ratio * group_sums(profile * self.means, group) for ratio, group in zip(self.ratios, self.groups, strict=True)]
        return profile * reconciling_factors(point, self.groups, totals)


def fit_hierarchy(matrix: SeriesMatrix, demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> Hierarchy | None:
    """Sums by location and its attributes, crossed with those by the items' attributes; None where there is nothing to sum.

    Args:
        matrix: For keys and attributes.
        demand: [period, series] in units.
        exposure: [period, series]; the profile where observed, else 0.
        smoothing: Weight of the newest period in the items' levels.
    """
    groups = groupings(matrix)
    if not groups:
        return None
    seen = exposure.sum(axis=0)
    means = np.divide(demand.sum(axis=0), seen, out=np.zeros_like(seen), where=seen > 0)
    _, finest, parts = np.unique(np.stack(groups), axis=1, return_index=True, return_inverse=True)
    parts = parts.reshape(-1)
    sold, expected = group_sums(demand, parts), group_sums(exposure * means, parts)
    ratios = []
    for group in groups:
        own_sold, own_expected = group_sums(sold, group[finest]), group_sums(expected, group[finest])
        usual = own_expected.mean(axis=0)
        usual = np.where(usual > 0, usual, 1.0)
        ratios.append(ses_levels(own_sold / usual, own_expected / usual, smoothing=min(1.0, FASTER * smoothing))[-1])
    return Hierarchy(tuple(groups), means, tuple(ratios))


def groupings(matrix: SeriesMatrix) -> list[IntArray]:
    """Numbers of each series' sum: all, by attributes of places, by place, by attributes of items, and these crossed."""
    locations, items = ["location_id"], list[str]()
    places = matrix.pools("location_id")
    for name in matrix.attributes.columns:
        pools = matrix.pools(name)
        is_of_place = len(np.unique(np.stack([places, pools]), axis=1).T) == int(places.max()) + 1
        (locations if is_of_place else items).append(name)
    found: dict[bytes, IntArray] = {}
    for place, item in product([None, *locations[:MOST_COLUMNS]], [None, *items[:MOST_COLUMNS]]):
        pools = matrix.pools(*(name for name in (place, item) if name is not None))
        if int(pools.max()) + 1 < len(pools):
            found.setdefault(pools.tobytes(), pools)
    chosen: list[IntArray] = []
    for pools in sorted(found.values(), key=lambda pools: int(pools.max())):
        if sum(int(one.max()) + 1 for one in chosen) + int(pools.max()) + 1 <= MOST_SUMS:
            chosen.append(pools)
    return chosen


def reconciling_factors(point: FloatArray, groups: tuple[IntArray, ...], totals: list[FloatArray]) -> FloatArray:
    """What every item's forecast is multiplied with so that items and sums agree, [period, series], never below 0.

    Weighted least squares with variances proportional to the units forecast, of an item as of a sum ("structural scaling"
    in units instead of counts, so that an item that never sells counts for nothing): b + V C' (C V C' + diag(C v))^-1 (a - C b)
    with items b, sums a, C summing and V = diag(v), v = b over its mean period.

    Source: Wickramasuriya, Athanasopoulos and Hyndman (2019), Optimal forecast reconciliation for hierarchical and grouped time
    series through trace minimization, JASA 114, equation 9 and section 2.3 (WLS_s).

    Args:
        point: [period, series] in units.
        groups: Per grouping, the number of each series' sum.
        totals: Per grouping, [period, sum] forecast of the sums in units.
    """
    units = point.mean(axis=0)
    counts = [int(group.max()) + 1 for group in groups]
    numbered = list(zip(groups, counts, strict=True))
    overlap = np.block([[_overlap(one, other, few, many, units) for other, many in numbered] for one, few in numbered])
    own = np.concatenate([np.bincount(group, weights=units, minlength=count) for group, count in numbered])
    gaps = np.concatenate([total - group_sums(point, group) for total, group in zip(totals, groups, strict=True)], axis=1)
    sizes = point.sum(axis=1, keepdims=True) / max(float(units.sum()), 1e-300)
    gaps = np.divide(gaps, sizes, out=np.zeros_like(gaps), where=sizes > 0)
    pull = np.linalg.solve(overlap + np.diag(np.where(own > 0, own, 1.0)), gaps.T).T
    factors, start = np.ones_like(point), 0
    for group, count in numbered:
        factors += pull[:, start : start + count][:, group]
        start += count
    result: FloatArray = np.maximum(factors, 0.0)
    return result


def _overlap(one: IntArray, other: IntArray, few: int, many: int, units: FloatArray) -> FloatArray:
    return np.bincount(one * many + other, weights=units, minlength=few * many).astype(np.float64).reshape(few, many)


def group_sums(values: FloatArray, group: IntArray) -> FloatArray:
    """[period, sum] of [period, series]."""
    count = int(group.max()) + 1
    return np.stack([np.bincount(group, weights=row, minlength=count) for row in values])
