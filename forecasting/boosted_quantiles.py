"""Quantiles of demand summed over coming periods, learned on such sums of all series at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.boosting import COMMON, load_lightgbm, training_origins
from forecasting.boosting_features import build_features

if TYPE_CHECKING:
    from forecasting.boosting_features import Features
    from forecasting.pooled import PooledFit
    from forecasting.schema import FloatArray, IntArray

MOST_SUMS: Final = 400_000
TREES: Final = 100
THREADS: Final = 2


def boosted_quantiles(fit: PooledFit, *, periods: int, levels: tuple[float, ...], seed: int) -> FloatArray:
    """Quantiles [level, series] of the sum of demand over the coming periods, in units; 0 for a series whose level is 0.

    The target is the sum over what the pooled fit expected of it, so a quantile is a factor on the expected sum; the pinball loss is
    weighted by the expected sum, which makes it a loss in units. One set of trees per level; crossing quantiles are put in order.

    Source: Koenker and Bassett (1978), Regression quantiles, Econometrica 46; direct on the cumulative target: the finding in
    docs/methods/boosting.md.

    Args:
        fit: The pooled fit of all series.
        periods: Length of the sums.
        levels: Probabilities.
        seed: Seed of the rows drawn and of the trees.

    Raises:
        BoostingUnavailableError: LightGBM does not load.
    """
    lightgbm = load_lightgbm()
    alive = np.flatnonzero(fit.levels[-1] > 0)
    origins = training_origins(fit.matrix)
    origins = origins[origins <= fit.matrix.periods_count - periods]
    features = build_features(fit, alive, origins, periods=periods)
    origin, series = _drawn(fit, features, alive, periods=periods, seed=seed)
    expected = features.levels[origin, series] * features.windows(periods)[origins[origin], series]
    sold = _sums(fit.matrix.demand[:, alive], periods)[origins[origin], series]
    table = features.sum_rows(origin, series, periods=periods)
    shared = COMMON | {"min_data_in_leaf": max(20, len(sold) // 1400), "objective": "quantile", "seed": seed}
    now = build_features(fit, alive, np.array([fit.matrix.periods_count]), periods=periods)
    every = np.arange(len(alive))
    asked = now.sum_rows(np.zeros_like(every), every, periods=periods)
    mean = fit.point(periods)[:, alive].sum(axis=0)

    def learn(level: float) -> FloatArray:
        parameters: dict[str, Any] = shared | {"alpha": level}
        data = lightgbm.Dataset(
            table,
            label=sold / expected,
            weight=expected / expected.mean(),
            feature_name=features.sum_names(),
            categorical_feature=features.categorical,
            params=parameters,
        )
        booster = lightgbm.train(parameters, data, num_boost_round=TREES)
        result: FloatArray = np.maximum(booster.predict(asked, num_threads=1), 0.0) * mean
        return result

    result = np.zeros((len(levels), fit.matrix.keys.height))
    with ThreadPoolExecutor(THREADS) as pool:
        result[:, alive] = list(pool.map(learn, levels))
    order = np.argsort(levels)
    result[order] = np.sort(result, axis=0)
    return result


def _drawn(fit: PooledFit, features: Features, alive: IntArray, *, periods: int, seed: int) -> tuple[IntArray, IntArray]:
    """Random (position of origin, of series) whose next periods are all known and whose level is not zero."""
    seen = _sums(fit.matrix.observed[:, alive].astype(np.float64), periods)[features.origins]
    origin, series = np.nonzero((seen >= periods - 0.5) & (features.levels > 0))
    if len(origin) > MOST_SUMS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(origin), size=MOST_SUMS, replace=False))
        origin, series = origin[chosen], series[chosen]
    return origin, series


def _sums(values: FloatArray, periods: int) -> FloatArray:
    """[first period, series]; sums over so many periods."""
    total = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    result: FloatArray = total[periods:] - total[:-periods]
    return result
