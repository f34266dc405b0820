"""What a tree may know of a series on a past evening and of the period it is to forecast: ratios, so that units do not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, Frequency, IntArray

    FeatureArray = npt.NDArray[np.float32]

# Periods over which demand is compared with the level: short ones see a turn, a year's sees what the level forgot.
WINDOWS: Final[dict[Frequency, tuple[int, ...]]] = {
    "daily": (3, 7, 14, 28, 56, 112, 224, 364),
    "weekly": (1, 2, 4, 8, 16, 32, 52),
    "monthly": (1, 2, 3, 6, 12, 24),
}
POOL_WINDOWS: Final[dict[Frequency, tuple[int, int]]] = {"daily": (7, 28), "weekly": (2, 8), "monthly": (1, 3)}
SPARSITY_WINDOWS: Final[dict[Frequency, tuple[int, int]]] = {"daily": (28, 112), "weekly": (8, 32), "monthly": (6, 24)}
WEEKS_BACK: Final = 8  # over which a series' own weekday is compared with the pooled one
SMALLEST_PROFILE: Final = 1e-3  # a closed period's, which has no logarithm


@dataclass(frozen=True, slots=True)
class Features:
    """Columns for any (origin, series, period ahead), held once per origin or per series.

    Attributes:
        names: One per column of `rows`.
        categorical: The names that are numbers of pools, not amounts.
        origins: Periods known at each origin; the first period ahead of origin o is period o.
        levels: [origin, series]; the pooled level at each origin, units per mean period.
        profile: [period, series]; the pooled factor of season and calendar, past and future, before sums have their say.
        by_origin: [origin, series, feature].
        own_weekday: [origin, weekday, series]; demand over what was expected of that weekday; None unless days.
        by_series: [series, feature].
        seasons: Place of each period in its season.
    """

    names: list[str]
    categorical: list[str]
    origins: IntArray
    levels: FloatArray
    profile: FloatArray
    by_origin: FeatureArray
    own_weekday: FeatureArray | None
    by_series: FeatureArray
    seasons: IntArray

    def rows(self, origin: IntArray, series: IntArray, ahead: IntArray) -> FeatureArray:
        """[row, feature] for positions in `origins`, series, and periods ahead from 0."""
        period = self.origins[origin] + ahead
        parts = [
            self.by_origin[origin, series],
            self.by_series[series],
            np.log(np.maximum(self.profile[period, series], SMALLEST_PROFILE))[:, None].astype(np.float32),
            ahead[:, None].astype(np.float32),
        ]
        if self.own_weekday is not None:
            parts.append(self.own_weekday[origin, self.seasons[period], series][:, None])
        return np.concatenate(parts, axis=1)

    def sum_rows(self, origin: IntArray, series: IntArray, *, periods: int) -> FeatureArray:
        """[row, feature] for the sum of the next periods: what is known of the series, and the profile of the whole window."""
        parts = [
            self.by_origin[origin, series],
            self.by_series[series],
            np.log(self.windows(periods)[self.origins[origin], series])[:, None],
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def sum_names(self) -> list[str]:
        """One per column of `sum_rows`."""
        return [*self.names[: self.by_origin.shape[2] + self.by_series.shape[1]], "window_profile"]

    def windows(self, periods: int) -> FloatArray:
        """[first period, series]; sum of the profile over so many periods."""
        total = np.vstack([np.zeros((1, self.profile.shape[1])), np.cumsum(self.profile, axis=0)])
        result: FloatArray = np.maximum(total[periods:] - total[:-periods], SMALLEST_PROFILE)
        return result


def build_features(fit: PooledFit, series: IntArray, origins: IntArray, *, periods: int) -> Features:
    """Features of some series at some origins, for so many periods ahead.

    Args:
        fit: The pooled fit that gives levels and profile.
        series: Positions in `fit.matrix.keys`.
        origins: Numbers of known periods, each at least 1.
        periods: Longest horizon.
    """
    matrix, is_daily = fit.matrix, fit.matrix.frequency == "daily"
    named = dict(_by_origin(fit, series, origins))
    pools = _pool_numbers(fit, series)
    count = matrix.periods_count + periods
    seasons = matrix.seasons(0, count)
    names = [*named, *pools, "profile", "ahead", *(["own_weekday"] if is_daily else [])]
    return Features(
        names=names,
        categorical=list(pools),
        origins=origins,
        levels=fit.levels[np.ix_(origins, series)],
        profile=np.vstack([fit.profile[:, series], fit.effects.factors(matrix.periods_count, periods)[:, series]]),
        by_origin=np.stack(list(named.values()), axis=2),
        own_weekday=_own_weekday(fit, series, origins, seasons) if is_daily else None,
        by_series=np.stack(list(pools.values()), axis=1).astype(np.float32) if pools else np.zeros((len(series), 0), dtype=np.float32),
        seasons=seasons,
    )


def _by_origin(fit: PooledFit, series: IntArray, origins: IntArray) -> Iterator[tuple[str, FeatureArray]]:
    """Name and [origin, series] of what is known of a series on the evening before each origin."""
    matrix = fit.matrix
    demand, observed, exposure = matrix.demand[:, series], matrix.observed[:, series], fit.exposure[:, series]
    levels = fit.levels[:, series]
    level = np.maximum(levels[origins], 1e-300)
    sold, seen, counted = _Sums(demand), _Sums(exposure), _Sums(observed.astype(np.float64))
    sales, squares = _Sums((demand > 0).astype(np.float64)), _Sums(np.where(observed, (demand - exposure * levels[:-1]) ** 2, 0.0))
    for window in WINDOWS[matrix.frequency]:
        yield f"mean_{window}", _ratio(sold.over(origins, window), seen.over(origins, window) * level)
    for window in SPARSITY_WINDOWS[matrix.frequency]:
        yield f"sales_{window}", _ratio(sales.over(origins, window), counted.over(origins, window))
    spread = squares.over(origins, window) / np.maximum(counted.over(origins, window), 1.0)
    yield "spread", (np.sqrt(spread) / level).astype(np.float32)
    silence = _silence(demand, observed)[origins]
    yield "silence", silence.astype(np.float32)
    yield "silence_in_sales", (silence * sales.over(origins, window) / np.maximum(counted.over(origins, window), 1.0)).astype(np.float32)
    for columns in _pool_columns(fit):
        pool = _ranks(fit, series, columns)
        for window in POOL_WINDOWS[matrix.frequency]:
            ratio = _ratio(_pooled(sold.over(origins, window), pool), _pooled(seen.over(origins, window) * levels[origins], pool))
            yield f"pool_{'_'.join(columns)}_{window}", ratio[:, pool]


class _Sums:
    """Sums over the last periods before any origin, from one cumulated sum."""

    def __init__(self, values: FloatArray) -> None:
        self._total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])

    def over(self, origins: IntArray, window: int) -> FloatArray:
        """[origin, series]."""
        result: FloatArray = self._total[origins] - self._total[np.maximum(origins - window, 0)]
        return result


def _ratio(part: FloatArray, whole: FloatArray) -> FeatureArray:
    """NaN where nothing is known, which trees take as it is."""
    return np.where(whole > 1e-200, part / np.where(whole > 1e-200, whole, 1.0), np.nan).astype(np.float32)


def _silence(demand: FloatArray, observed: BoolArray) -> FloatArray:
    """[period + 1, series]; observed periods since the last sale."""
    result = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    for period in range(demand.shape[0]):
        result[period + 1] = np.where(demand[period] > 0, 0.0, result[period] + observed[period])
    return result


def _pool_columns(fit: PooledFit) -> list[tuple[str, ...]]:
    attributes = fit.matrix.attributes.columns
    return [("sku",), *(("location_id", name) for name in attributes), *((name,) for name in ("location_id", *attributes))]


def _ranks(fit: PooledFit, series: IntArray, columns: tuple[str, ...]) -> IntArray:
    """Pools numbered among these series only, so that others change nothing."""
    pools = fit.matrix.pools(*columns)[series]
    return pl.Series(pools).rank("dense").to_numpy().astype(np.int64) - 1


def _pool_numbers(fit: PooledFit, series: IntArray) -> dict[str, IntArray]:
    named = {name: _ranks(fit, series, (name,)) for name in ("location_id", *fit.matrix.attributes.columns)}
    return {name: numbers for name, numbers in named.items() if 0 < numbers.max() < 100}


def _pooled(values: FloatArray, pool: IntArray) -> FloatArray:
    """[origin, pool]; sums over the series of each pool."""
    count = int(pool.max()) + 1
    return np.stack([np.bincount(pool, weights=row, minlength=count) for row in values])


def _own_weekday(fit: PooledFit, series: IntArray, origins: IntArray, seasons: IntArray) -> FeatureArray:
    demand, exposure = fit.matrix.demand[:, series], fit.exposure[:, series]
    result = np.empty((len(origins), 7, len(series)), dtype=np.float32)
    for position, origin in enumerate(origins):
        first = max(0, origin - 7 * WEEKS_BACK)
        level = fit.levels[origin, series]
        for day in range(7):
            same = np.flatnonzero(seasons[first:origin] == day) + first
            result[position, day] = _ratio(demand[same].sum(axis=0), exposure[same].sum(axis=0) * level)
    return result
