"""Quantiles of demand summed over coming periods, learned on such sums of all series at once, and half of them blended in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.boosting import COMMON, load_lightgbm, training_origins, why_not_boosted
from forecasting.boosting_features import build_features
from forecasting.schema import LEAST_FIT_PERIODS

if TYPE_CHECKING:
    from forecasting.boosting_features import Features
    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, Frequency, IntArray
    from forecasting.spread import SumDistribution

LEVELS: Final = (0.1, 0.5, 0.8, 0.9, 0.95, 0.99)  # that trees are learned for, whichever are asked for
MOST_SUMS: Final = 250_000  # at random: 400,000 cost half as much again and gain .3 % of loss
LEAST_SUMS: Final = 2_000
TREES: Final = 100
THREADS: Final = 2
# known before the first sum that is learned from; in weeks half of what single periods take: sums are few, and twice as many say more
FIRST_ORIGIN: Final[dict[Frequency, int]] = {"daily": 112, "weekly": 13, "monthly": 12}
# of the expected sum, which the loss of a sum is weighted by; 1 is a loss in units, in which a few fast movers outweigh all others
WEIGHT_POWER: Final[dict[Frequency, float]] = {"daily": 1.0, "weekly": 0.5, "monthly": 1.0}
TREES_SAY: Final = 0.5  # of a quantile, unless asked for otherwise; the rest is the statistical one's


def why_no_sum_trees(fit: PooledFit, *, periods: int, until: int | None = None) -> str | None:
    """Why there can be no trees for sums that had ended after so many periods, by default all; None where there can."""
    why = why_not_boosted(fit.matrix, periods=periods)
    if why is not None:
        return why
    origins = _origins(fit, periods=periods, until=until)
    whole = int(((_sums(fit.matrix.observed, periods)[origins] > periods - 0.5) & (fit.levels[origins] > 0)).sum())
    if whole < LEAST_SUMS:
        return f"{whole} past sums over {periods} {fit.matrix.period_name}s without a stock-out, {LEAST_SUMS} are needed for boosting"
    return None


def least_history(fit: PooledFit, *, periods: int) -> int:
    """Periods that trees have to have seen before what they say of later sums tells something: half of those that they learn from."""
    first, known = FIRST_ORIGIN[fit.matrix.frequency], fit.matrix.periods_count
    return first + periods + (known - first - periods) // 2


@dataclass(frozen=True, slots=True)
class SumTrees:
    """Trees that say how demand over coming periods compares with what the pooled fit expects of it, one set per level.

    Attributes:
        fit: The pooled fit of all series.
        alive: Positions of the series with a level above 0, which features are made of.
        periods: Length of the sums.
        boosters: One per level of `LEVELS`.
    """

    fit: PooledFit
    alive: IntArray
    periods: int
    boosters: list[Any]

    def quantiles(self, begins: IntArray) -> FloatArray:
        """[level, begin, series] of the sums that begin with these periods, in units; NaN where too little was known of the series."""
        matrix, count = self.fit.matrix, len(self.alive)
        features = build_features(self.fit, self.alive, begins, periods=self.periods)
        origin, series = np.repeat(np.arange(len(begins)), count), np.tile(np.arange(count), len(begins))
        table = features.sum_rows(origin, series, periods=self.periods)
        with ThreadPoolExecutor(THREADS) as pool:
            factors = np.stack(list(pool.map(lambda booster: booster.predict(table, num_threads=1), self.boosters)))
        expected = _expected(features, self.periods)
        # what is to come is expected such that items and their sums agree
        expected[begins == matrix.periods_count] = self.fit.point(self.periods)[:, self.alive].sum(axis=0)
        seen = np.stack([matrix.observed[:begin, self.alive].sum(axis=0) for begin in begins])
        is_known = (seen >= LEAST_FIT_PERIODS[matrix.frequency]) & (features.levels > 0)
        units = np.sort(np.maximum(factors, 0.0), axis=0).reshape(len(LEVELS), len(begins), count) * expected
        result = np.full((len(LEVELS), len(begins), matrix.keys.height), np.nan)
        result[:, :, self.alive] = np.where(is_known, units, np.nan)
        return result


def learn_sum_trees(fit: PooledFit, *, periods: int, seed: int, until: int | None = None) -> SumTrees:
    """Trees learned from past sums of all series that were in stock throughout.

    The target is the sum over what the pooled fit expected of it, so a quantile is a factor on the expected sum; the pinball loss is
    weighted by a power of the expected sum.

    Source: Koenker and Bassett (1978), Regression quantiles, Econometrica 46; direct on the cumulative target: the finding in
    docs/methods/boosting.md.

    Args:
        fit: The pooled fit of all series.
        periods: Length of the sums.
        seed: Seed of the rows drawn and of the trees.
        until: Sums that had ended after so many periods are learned from; by default all.

    Raises:
        BoostingUnavailableError: LightGBM does not load.
    """
    lightgbm = load_lightgbm()
    alive = np.flatnonzero(fit.levels[-1] > 0)
    origins = _origins(fit, periods=periods, until=until)
    features = build_features(fit, alive, origins, periods=periods)
    origin, series = _drawn(fit, features, alive, periods=periods, seed=seed)
    expected = _expected(features, periods)[origin, series]
    sold = _sums(fit.matrix.demand[:, alive], periods)[origins[origin], series]
    weight = expected ** WEIGHT_POWER[fit.matrix.frequency]
    shared = COMMON | {"min_data_in_leaf": max(20, len(sold) // 1400), "objective": "quantile", "seed": seed}
    table = features.sum_rows(origin, series, periods=periods)

    def learn(level: float) -> Any:
        parameters: dict[str, Any] = shared | {"alpha": level}
        data = lightgbm.Dataset(
            table,
            label=sold / expected,
            weight=weight / weight.mean(),
            feature_name=features.sum_names(),
            categorical_feature=features.categorical,
            params=parameters,
        )
        return lightgbm.train(parameters, data, num_boost_round=TREES)

    with ThreadPoolExecutor(THREADS) as pool:
        return SumTrees(fit, alive, periods, list(pool.map(learn, LEVELS)))


@dataclass(frozen=True, slots=True)
class BlendedSpread:
    """The distribution of demand over coming periods, each quantile in part the statistical one and in part what trees say.

    Between the levels of trees their quantiles lie as the statistical ones do, and beyond the outermost run beside them.

    Source: for means of quantiles, Lichtendahl, Grushka-Cockayne and Winkler (2013), Is it better to average probabilities or
    quantiles? Management Science 59.

    Attributes:
        spread: The statistical distribution.
        trees: [level of `LEVELS`, series]; quantiles in units, NaN for a series that keeps the statistical ones.
        trees_say: Share of a quantile that is theirs.
    """

    spread: SumDistribution
    trees: FloatArray
    trees_say: float = TREES_SAY

    def quantiles(self, levels: tuple[float, ...] | FloatArray, rows: IntArray | None = None) -> FloatArray:
        """[level, series] in units, rising with the level and never below zero; of all series or of some `rows`."""
        rows = np.arange(self.trees.shape[1]) if rows is None else rows
        told, known, trees = self.spread.quantiles(levels, rows), self.spread.quantiles(LEVELS, rows), self.trees[:, rows]
        result = np.empty_like(told)
        for index, level in enumerate(levels):
            above = int(np.searchsorted(LEVELS, level))
            if 0 < above < len(LEVELS):
                low, high = known[above - 1], known[above]
                even = (level - LEVELS[above - 1]) / (LEVELS[above] - LEVELS[above - 1])
                share = np.divide(told[index] - low, high - low, out=np.full_like(low, even), where=high > low)
                said = trees[above - 1] + share * (trees[above] - trees[above - 1])
            else:
                nearest = min(above, len(LEVELS) - 1)
                said = np.maximum(trees[nearest] + told[index] - known[nearest], 0.0)
            result[index] = np.where(np.isnan(said), told[index], self.trees_say * said + (1.0 - self.trees_say) * told[index])
        return result


def _origins(fit: PooledFit, *, periods: int, until: int | None) -> IntArray:
    origins = training_origins(fit.matrix, first=FIRST_ORIGIN[fit.matrix.frequency])
    return origins[origins <= (fit.matrix.periods_count if until is None else until) - periods]


def _expected(features: Features, periods: int) -> FloatArray:
    """[origin, series]; what the pooled fit expected of the sums on the evening before, in units."""
    result: FloatArray = features.levels * features.windows(periods)[features.origins]
    return result


def _drawn(fit: PooledFit, features: Features, alive: IntArray, *, periods: int, seed: int) -> tuple[IntArray, IntArray]:
    """Random (position of origin, of series) whose next periods are all known and whose level is not zero."""
    seen = _sums(fit.matrix.observed[:, alive], periods)[features.origins]
    origin, series = np.nonzero((seen >= periods - 0.5) & (features.levels > 0))
    if len(origin) > MOST_SUMS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(origin), size=MOST_SUMS, replace=False))
        origin, series = origin[chosen], series[chosen]
    return origin, series


def _sums(values: FloatArray | BoolArray, periods: int) -> FloatArray:
    """[first period, series]; sums over so many periods."""
    total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    result: FloatArray = total[periods:] - total[:-periods]
    return result
