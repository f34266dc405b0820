"""A young item starts where items like it stood at its age, and leaves them as its own sales come in.

With n observed periods, fewer than `LEAST_FIT_PERIODS`, forecast = w x own + (1 - w) x like, w = n / (n + K).

own: the mean of its periods, on the pool's profile.
like: mean demand of the items of its category, each in the periods after it had reached the same age, on the shape of what these items
    are forecast now; quantiles are those of the same periods of all of them, so they hold how items differ. Items that were there
    when the first of them began have no known age and are left out, as are items that never sold. With fewer than `LEAST_LIKE` in
    the category, all categories count.
K = variance within an item / variance between items, in periods, at most `MOST_TIMES` as many: the more alike items are, the longer they
    speak for it.

Assumption: a category's items are launched alike. It fails for the hit nobody expected, until w has grown.

Source: Buehlmann (1967), Experience rating and credibility, ASTIN Bulletin 4, for w; Hyndman and Athanasopoulos, Forecasting:
Principles and Practice (3rd ed.), section 6.4, for forecasting by analogy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import LEAST_FIT_PERIODS, FloatArray

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray, IntArray

LIKE_ITEMS: Final = "like_items"
MOST_TIMES: Final = 4  # a few items may differ by no more than chance; they never outweigh an item's own sales for longer than this
LEAST_LIKE: Final = 5  # items; fewer tell too little of how they differ


@dataclass(frozen=True, slots=True)
class LikeStart:
    """Forecasts of young items.

    Attributes:
        rows: Their positions.
        point: [period, row] in units.
        quantiles: [level, period, row] in units.
        reasons: Per row, in words.
    """

    rows: IntArray
    point: FloatArray
    quantiles: FloatArray
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class _Pool:
    members: IntArray
    what: str


def like_start(matrix: SeriesMatrix, point: FloatArray, quantiles: FloatArray, *, levels: tuple[float, ...]) -> LikeStart:
    """What young items will sell, of those that have like ones.

    Args:
        matrix: What is known of all series.
        point: [period, series]; each one's own forecast, NaN where it has none.
        quantiles: [level, period, series] of it.
        levels: Probabilities of the quantiles.
    """
    least = LEAST_FIT_PERIODS[matrix.frequency]
    exists = matrix.observed | matrix.censored
    counts, start = matrix.observed.sum(axis=0), exists.argmax(axis=0)
    age = matrix.periods_count - start
    has_key = matrix.keys.select(pl.all_horizontal(pl.all().is_not_null())).to_series().to_numpy()
    sold = matrix.demand.any(axis=0)
    began = start[sold].min(initial=matrix.periods_count)
    is_grown = sold & (start > began) & (age >= 2 * least) & (counts >= least) & has_key & np.isfinite(point).all(axis=0)
    category, everyone = matrix.pools("category"), np.flatnonzero(is_grown)
    rows: list[int] = []
    points: list[FloatArray] = []
    ranges: list[FloatArray] = []
    reasons: list[str] = []
    for row in np.flatnonzero((counts < least) & exists.any(axis=0) & has_key).tolist():
        pool = _pool_of(matrix, row, category, everyone)
        if pool is None:
            continue
        units, seen = _at_age(matrix, pool.members, start[pool.members], first=int(min(age[row], least)), count=least)
        if not seen.any():
            continue
        like, like_ranges = _like(units, seen, point[:, pool.members], levels)
        weight = counts[row] / (counts[row] + _credibility(units, seen)) if np.isfinite(point[:, row]).all() else 0.0
        points.append(weight * point[:, row] + (1 - weight) * like if weight else like)
        ranges.append(weight * quantiles[:, :, row] + (1 - weight) * like_ranges if weight else like_ranges)
        rows.append(row)
        unit = matrix.period_name
        reasons.append(
            f"only {counts[row]} {unit}s in stock, {least} are needed: {1 - weight:.0%} what {len(pool.members)} items of {pool.what} sold "
            f"at that age"
        )
    empty = (*quantiles.shape[:2], 0)
    return LikeStart(
        rows=np.array(rows, dtype=np.int64),
        point=np.stack(points, axis=1) if points else np.empty(empty[1:]),
        quantiles=np.stack(ranges, axis=2) if ranges else np.empty(empty),
        reasons=reasons,
    )


def _pool_of(matrix: SeriesMatrix, row: int, category: IntArray, grown: IntArray) -> _Pool | None:
    """The grown items like this one: of its category, or all where these are too few."""
    own = grown[category[grown] == category[row]]
    if len(own) >= LEAST_LIKE and "category" in matrix.attributes.columns:
        return _Pool(own, f"category {matrix.attributes['category'][row]!r}")
    return _Pool(grown, "all categories") if len(grown) >= LEAST_LIKE else None


def _at_age(matrix: SeriesMatrix, members: IntArray, start: IntArray, *, first: int, count: int) -> tuple[FloatArray, BoolArray]:
    """Demand [period, member] from age `first` on, and where it was observed."""
    periods = start + first + np.arange(count)[:, None]
    return matrix.demand[periods, members], matrix.observed[periods, members]


def _like(sold: FloatArray, seen: BoolArray, points: FloatArray, levels: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Mean [period] and quantiles [level, period] of what members sold, on the shape of their forecasts."""
    total = points.sum(axis=1)
    shape = total / total.mean() if total.mean() > 0 else np.ones_like(total)
    units = sold[seen]
    return units.mean() * shape, np.quantile(units, levels)[:, None] * shape


def _credibility(sold: FloatArray, seen: BoolArray) -> float:
    """Periods of its own after which an item counts as much as those like it."""
    counts = np.maximum(seen.sum(axis=0), 1)
    means = np.where(seen, sold, 0.0).sum(axis=0) / counts
    within = float((np.where(seen, (sold - means) ** 2, 0.0).sum(axis=0) / np.maximum(counts - 1, 1)).mean())
    between = float(means.var(ddof=1)) - within / float(counts.mean())
    most = float(MOST_TIMES * len(sold))
    return min(within / between, most) if between > 0 else most
