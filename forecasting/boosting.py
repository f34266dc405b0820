"""One LightGBM for all series that says how far each will stray from its pooled forecast.

The pooled forecast enters as the offset of a log link, so trees learn a factor on it from features that are ratios to the level: what
the trees cannot see stays as it was, and a new unit of demand changes nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.boosting_features import build_features

if TYPE_CHECKING:
    from forecasting.boosting_features import FeatureArray, Features
    from forecasting.matrix import SeriesMatrix
    from forecasting.pooled import PooledFit
    from forecasting.schema import FloatArray, Frequency, IntArray

LEAST_SERIES: Final = 300
LEAST_ROWS: Final = 10_000  # of series x periods to learn from
MOST_ROWS: Final = 1_000_000  # drawn at random: more cost time and hardly change the trees
MOST_ORIGINS: Final = 48
FIRST_ORIGIN: Final[dict[Frequency, int]] = {"daily": 112, "weekly": 26, "monthly": 12}
LEAST_PROFILE: Final = 0.05  # of a mean period; closed periods teach nothing
TREES_SAY_IN_TOTAL: Final = 0.5  # trees know well which series sells, and no better than sums how much is sold in all

TREES: Final = 100
COMMON: Final[dict[str, Any]] = {
    "learning_rate": 0.08,
    "num_leaves": 15,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # losses are trained side by side instead: threads inside of LightGBM wait for each other by spinning
    "verbosity": -1,
}
LOSSES: Final[tuple[dict[str, Any], ...]] = (
    {"objective": "tweedie", "tweedie_variance_power": 1.1},
    {"objective": "tweedie", "tweedie_variance_power": 1.5},
)


class BoostingUnavailableError(ImportError):
    """LightGBM is not installed or does not load. The message says what is missing."""


def why_not_boosted(matrix: SeriesMatrix, *, periods: int) -> str | None:
    """Why the pooled forecast has to do without trees; None where it need not."""
    sold = int((matrix.demand.max(axis=0) > 0).sum())
    if sold < LEAST_SERIES:
        return f"{sold} series have sold, {LEAST_SERIES} are needed for boosting"
    rows = sold * (matrix.periods_count - FIRST_ORIGIN[matrix.frequency])
    if matrix.periods_count < FIRST_ORIGIN[matrix.frequency] + 2 * periods or rows < LEAST_ROWS:
        return f"{matrix.periods_count} {matrix.frequency} periods of history are too few for boosting {periods} periods ahead"
    try:
        load_lightgbm()
    except BoostingUnavailableError as error:
        return str(error)
    return None


def boosted_point(fit: PooledFit, *, periods: int, seed: int) -> FloatArray:
    """Mean demand [period, series] in units: trees say how demand splits over series and periods, and half of how much it is.

    The other half of the total is the pooled forecast's, in which sums of series have had their say. The trees
    learn from random (origin, series, period ahead) of the past; one set of trees serves all periods ahead.

    Source: Ke et al. (2017), LightGBM, NeurIPS 30; Tweedie deviance with log link and offset: Wuethrich and Merz (2023), Statistical
    foundations of actuarial learning, section 5.2; direct multi-horizon: Taieb et al. (2012), Expert Systems with Applications 39.

    Args:
        fit: The pooled fit of all series.
        periods: How many coming periods.
        seed: Seed of the rows drawn and of the trees.

    Raises:
        BoostingUnavailableError: LightGBM does not load.
    """
    pooled = fit.point(periods)
    alive, factor = factors(fit, periods=periods, seed=seed)
    boosted = fit.levels[-1, alive] * fit.effects.factors(fit.matrix.periods_count, periods)[:, alive] * factor
    total, own = float(pooled[:, alive].sum()), float(boosted.sum())
    pooled[:, alive] = boosted * ((1.0 - TREES_SAY_IN_TOTAL) * total / own + TREES_SAY_IN_TOTAL if own > 0 else 0.0)
    return pooled


def factors(fit: PooledFit, *, periods: int, seed: int) -> tuple[IntArray, FloatArray]:
    """Series that sell, and [period, series] what their level on season and calendar is to be multiplied with."""
    lightgbm, matrix = load_lightgbm(), fit.matrix
    alive = np.flatnonzero(fit.levels[-1] > 0)
    features = build_features(fit, alive, training_origins(matrix, first=FIRST_ORIGIN[matrix.frequency]), periods=periods)
    origin, series, ahead = _drawn(fit, features, alive, periods=periods, seed=seed)
    offset = features.levels[origin, series] * features.profile[features.origins[origin] + ahead, series]
    target = matrix.demand[features.origins[origin] + ahead, alive[series]]
    unit = offset.mean()
    table = features.rows(origin, series, ahead)

    def train(number: int) -> Any:
        half = slice(number, None, len(LOSSES))
        parameters = COMMON | LOSSES[number] | {"seed": seed + number, "min_data_in_leaf": max(20, len(target) // 1400)}
        data = lightgbm.Dataset(
            table[half],
            label=target[half] / unit,
            init_score=np.log(offset[half] / unit),
            feature_name=features.names,
            categorical_feature=features.categorical,
            params=parameters,
        )
        return lightgbm.train(parameters, data, num_boost_round=TREES)

    with ThreadPoolExecutor(len(LOSSES)) as pool:
        boosters = list(pool.map(train, range(len(LOSSES))))
    return alive, _factors(boosters, build_features(fit, alive, np.array([matrix.periods_count]), periods=periods), periods=periods)


def _factors(boosters: list[Any], features: Features, *, periods: int) -> FloatArray:
    """[period, series]; mean over the boosters of what they multiply the pooled forecast with."""
    count = features.levels.shape[1]
    first, series = np.zeros(count, dtype=np.int64), np.arange(count)

    def predict(period: int) -> FloatArray:
        table: FeatureArray = features.rows(first, series, np.full(count, period))
        result: FloatArray = np.mean([np.exp(booster.predict(table, raw_score=True, num_threads=1)) for booster in boosters], axis=0)
        return result

    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(predict, range(periods))))


def training_origins(matrix: SeriesMatrix, *, first: int) -> IntArray:
    """Evenly spaced numbers of known periods, all after the first, the last one leaving one period to learn from."""
    last = matrix.periods_count - 1
    step = max(1, -(-(last - first) // MOST_ORIGINS))
    if matrix.frequency == "daily" and step % 7 == 0:
        step += 1  # every weekday is to be an origin
    return np.arange(last, first, -step)[::-1].astype(np.int64)


def _drawn(fit: PooledFit, features: Features, alive: IntArray, *, periods: int, seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Random rows (position of origin, of series, periods ahead) whose demand is known and whose level is not zero."""
    matrix, generator = fit.matrix, np.random.default_rng(seed)
    shape = (len(features.origins), len(alive), periods)
    count = int(min(np.prod(shape, dtype=np.float64), 1.2 * MOST_ROWS))
    origin, series, ahead = (generator.integers(size, size=count) for size in shape)
    period = features.origins[origin] + ahead
    inside = period < matrix.periods_count
    origin, series, ahead, period = origin[inside], series[inside], ahead[inside], period[inside]
    known = (
        matrix.observed[period, alive[series]] & (features.levels[origin, series] > 0) & (features.profile[period, series] > LEAST_PROFILE)
    )
    return origin[known], series[known], ahead[known]


def load_lightgbm() -> Any:
    """The module, imported when first asked for.

    Raises:
        BoostingUnavailableError: It is not installed, or a system library is missing.
    """
    try:
        import lightgbm  # noqa: PLC0415 - loads a system library, which may be missing
    except ImportError as error:
        raise BoostingUnavailableError(f"LightGBM is not installed ({error}); install ordercast's dependencies") from error
    except OSError as error:  # the wheel is there and libgomp is not
        raise BoostingUnavailableError(f"LightGBM does not load ({error}); install OpenMP (Debian: apt-get install libgomp1)") from error
    return lightgbm
