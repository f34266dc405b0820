"""How season and calendar move demand: one log-linear regression per pool, small pools leaning on all of them.

The sum of a pool's demand is regressed on weekday and day of the month (daily panels), yearly waves (two years of history
or more), events, flags and amounts of the calendar, beside a trend in pieces, which is left out of the factors: what
remains of it is the levels' affair.

Source: quasi-Poisson regression by iteratively weighted least squares, McCullagh and Nelder (1989), Generalized Linear Models,
2.5 and 9.2. Coefficients have a Student-t prior, so that noise is drawn to nothing and a closed day is not: Gelman et al.
(2008), A weakly informative default prior distribution for logistic and other regression models, Annals of Applied Statistics 2.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.calendar_features import calendar_design, calendar_keys, item_design, season_design, trend_design
from forecasting.schema import CYCLE_PERIODS

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray

HALF_LIFE_DAYS: Final = 180.0  # of a past period's weight; twice that where yearly waves are fitted
ITERATIONS: Final = 8
POOLS_AT_ONCE: Final = 50
POOL_ITERATIONS: Final = 4  # from the common coefficients on
LEAST_NOISE: Final = 1e-6  # of a pool's relative variance, where it has none
DEGREES: Final = 3.0  # of the coefficients' Student-t prior
POOL_PRIOR: Final = 0.5  # a pool's coefficients stray from the common ones by this share of what those stray from zero
LEAST_IN_POOL: Final = 50  # series on average; with fewer a finer pool has more noise than news
ITEM_ROWS: Final = 1_000_000  # more rows of single items cost time and change no effect that all items share
LARGEST_LOG: Final = 4.0  # no factor beyond exp(4) either way


@dataclass(frozen=True, slots=True)
class CalendarEffects:
    """Fitted effects; `factors` gives them for any periods.

    Attributes:
        matrix: What was fitted.
        pools: Number of each series' pool.
        coefficients: [feature, pool].
        offsets: Per pool, the log of the mean factor over the past, which makes that mean one.
        item_coefficients: Per feature of a calendar keyed by item; empty without one.
        item_offsets: Per series, the log of the mean factor of its item's calendar over the periods observed; empty without one.
        is_yearly: Yearly waves are among the features.
    """

    matrix: SeriesMatrix
    pools: IntArray
    coefficients: FloatArray
    offsets: FloatArray
    item_coefficients: FloatArray
    item_offsets: FloatArray
    is_yearly: bool

    def factors(self, first: int, count: int) -> FloatArray:
        """Demand over that of a mean period, [period, series], from period `first` on, past or future."""
        logs = _pool_logs(self.matrix, self.pools, self.coefficients, first, count, is_yearly=self.is_yearly) - self.offsets
        result: FloatArray = np.exp(np.clip(logs, -2 * LARGEST_LOG, LARGEST_LOG))[:, self.pools]
        if self.item_coefficients.size:
            series, period, features = item_design(self.matrix, first, count)
            result *= np.exp(-self.item_offsets)
            result[period, series] *= _lifts(features, self.item_coefficients)
        return result


def fit_calendar_effects(matrix: SeriesMatrix, *, is_yearly: bool = True) -> CalendarEffects:
    """Season and calendar of every pool: `pooling_columns`, and the columns that the calendar is keyed by.

    Args:
        matrix: Demand with its calendar.
        is_yearly: With waves over the year, where two years are known.
    """
    pools = matrix.pools(*dict.fromkeys([*pooling_columns(matrix), *calendar_keys(matrix)]))
    is_yearly = is_yearly and matrix.periods_count >= 2 * CYCLE_PERIODS[matrix.frequency]
    totals, expected = _ratios(matrix, pools)
    season, spread = season_design(matrix, 0, matrix.periods_count, is_yearly=is_yearly)
    trend, trend_spread = trend_design(matrix, is_yearly=is_yearly)
    known, known_spread, rows = calendar_design(matrix, 0, matrix.periods_count)
    group = _first_of(rows, pools)
    designs = [np.hstack([season, known[index], trend]) for index in range(known.shape[0])]
    spreads = np.concatenate([spread, known_spread, trend_spread])
    half_life = (2 if is_yearly else 1) * HALF_LIFE_DAYS * CYCLE_PERIODS[matrix.frequency] / CYCLE_PERIODS["daily"]
    weights = 0.5 ** (np.arange(matrix.periods_count)[::-1] / half_life)
    coefficients = _fit(totals, expected, designs, group, weights=weights, spreads=spreads)
    coefficients = coefficients[: coefficients.shape[0] - trend.shape[1]]
    past = np.exp(np.clip(_pool_logs(matrix, pools, coefficients, 0, matrix.periods_count, is_yearly=is_yearly), -8, LARGEST_LOG))
    effects = CalendarEffects(matrix, pools, coefficients, np.log(past.mean(axis=0)), np.empty(0), np.empty(0), is_yearly)
    return effects if matrix.item_facts is None else _with_items(effects)


def pooling_columns(matrix: SeriesMatrix) -> list[str]:
    """Location, category, and the attribute that parts these furthest while pools keep `LEAST_IN_POOL` series on average."""
    best, most = ["location_id", "category"], int(matrix.pools("location_id", "category").max()) + 1
    for name in [name for name in matrix.attributes.columns if name != "category"]:
        count = int(matrix.pools("location_id", "category", name).max()) + 1
        if most < count <= matrix.keys.height / LEAST_IN_POOL:
            best, most = ["location_id", "category", name], count
    return best


def _pool_logs(matrix: SeriesMatrix, pools: IntArray, coefficients: FloatArray, first: int, count: int, *, is_yearly: bool) -> FloatArray:
    season, _ = season_design(matrix, first, count, is_yearly=is_yearly)
    known, _, rows = calendar_design(matrix, first, count)
    seasons = season.shape[1]
    logs = season @ coefficients[:seasons]
    if known.shape[2]:
        logs += np.einsum("ptf,fp->tp", known[_first_of(rows, pools)], coefficients[seasons:], optimize=True)
    return logs


def _fit(
    totals: FloatArray, expected: FloatArray, designs: list[FloatArray], group: IntArray, *, weights: FloatArray, spreads: FloatArray
) -> FloatArray:
    """Coefficients [feature, pool]: those common to all pools first, then each pool's own around them."""
    width, sold = spreads.size, np.flatnonzero(totals.any(axis=0))
    degrees = max(weights.sum() - width, 0.25 * weights.sum())
    common = np.zeros(width)
    for _ in range(ITERATIONS):
        left, right = np.zeros((width, width)), np.zeros(width)
        for number, design in enumerate(designs):
            some = sold[group[sold] == number]
            logs, weighted, error = _working(totals[:, some], expected[:, some], design, common[:, None], weights)
            weighted /= np.maximum((weighted * error**2).sum(axis=0) / degrees, LEAST_NOISE)
            left += (design * weighted.sum(axis=1)[:, None]).T @ design
            right += design.T @ (weighted * (logs + error)).sum(axis=1)
        common = _solved(left, right, common, np.zeros(width), spreads)
    own = np.repeat(common[:, None], totals.shape[1], axis=1)
    for number, design in enumerate(designs):
        some = sold[group[sold] == number]
        for start in range(0, len(some), POOLS_AT_ONCE):
            part = some[start : start + POOLS_AT_ONCE]
            for _ in range(POOL_ITERATIONS):
                logs, weighted, error = _working(totals[:, part], expected[:, part], design, own[:, part], weights)
                weighted /= np.maximum((weighted * error**2).sum(axis=0) / degrees, LEAST_NOISE)
                # one product for all pools: many small ones cost more in calls than in sums
                stacked = (weighted.T[:, None, :] * design.T[None, :, :]).reshape(-1, design.shape[0])
                squares = (stacked @ design).reshape(len(part), width, width)
                products = (weighted * (logs + error)).T @ design
                own[:, part] = _solved(squares, products, own[:, part].T, common, POOL_PRIOR * spreads).T
    return own


def _working(
    totals: FloatArray, expected: FloatArray, design: FloatArray, coefficients: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logs of the factors, weights and relative errors of the next step, each [period, pool]."""
    logs = np.clip(design @ coefficients, -2 * LARGEST_LOG, LARGEST_LOG)
    mean = expected * np.exp(logs)
    # a ratio to the expected units weighs as much as the units expected
    error = np.divide(totals, mean, out=np.ones_like(totals), where=mean > 0) - 1.0
    return logs, weights[:, None] * mean, error


def _solved(left: FloatArray, right: FloatArray, now: FloatArray, centre: FloatArray, spreads: FloatArray) -> FloatArray:
    """Coefficients [..., feature] of one more step, each drawn to its centre."""
    precision = (DEGREES + 1.0) / (DEGREES * spreads**2 + (now - centre) ** 2)
    matrix = left + precision[..., None] * np.eye(len(spreads))
    return np.asarray(np.linalg.solve(matrix, (right + precision * centre)[..., None])[..., 0], dtype=np.float64)


def _with_items(effects: CalendarEffects) -> CalendarEffects:
    """What the calendar says of single items moves demand against the item's other days, alike for all items.

    Each series' level is fitted along (Cameron and Trivedi 2013, Regression Analysis of Count Data, 9.4), from all of its periods.
    """
    matrix, count = effects.matrix, effects.matrix.keys.height
    told = item_design(matrix, 0, matrix.periods_count)
    series, period, features = told
    step = max(1, len(series) // ITEM_ROWS)
    is_tried = matrix.observed[period, series] & (series % step == 0)
    series, period, features = series[is_tried], period[is_tried], features[is_tried]
    everyday = np.where(matrix.observed, effects.factors(0, matrix.periods_count), 0.0)
    plain, sold = everyday[period, series], matrix.demand[period, series]
    units, rest = matrix.demand.sum(axis=0), everyday.sum(axis=0) - np.bincount(series, weights=plain, minlength=count)
    errors, cells = _errors_elsewhere(matrix, everyday, series, period, step=step)
    spreads, found = np.full(features.shape[1], 0.5), np.zeros(features.shape[1])
    for _ in range(ITERATIONS):
        lifted = plain * _lifts(features, found)
        total = np.maximum(rest + np.bincount(series, weights=lifted, minlength=count), 1e-9)
        mean = (units / total)[series] * lifted
        noise = max((errors + float(_relative_squares(sold, mean).sum())) / max(cells + len(sold), 1), LEAST_NOISE)
        drawn = np.stack([np.bincount(series, weights=lifted * column, minlength=count) for column in features.T], axis=1) / total[:, None]
        left = ((features * mean[:, None]).T @ features - (drawn * units[:, None]).T @ drawn) / noise
        found = _solved(left, left @ found + features.T @ (sold - mean) / noise, found, np.zeros_like(found), spreads)
    series, period, features = told
    lifts = np.where(matrix.observed[period, series], _lifts(features, found) - 1.0, 0.0)
    means = 1.0 + np.bincount(series, weights=lifts, minlength=count) / np.maximum(matrix.observed.sum(axis=0), 1)
    return dataclasses.replace(effects, item_coefficients=found, item_offsets=np.log(means))


def _lifts(features: FloatArray, coefficients: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.clip(features @ coefficients, -LARGEST_LOG, LARGEST_LOG)), dtype=np.float64)


def _errors_elsewhere(matrix: SeriesMatrix, everyday: FloatArray, series: IntArray, period: IntArray, *, step: int) -> tuple[float, int]:
    """Sum of squared errors over means, and their number, where the calendar says nothing of an item."""
    is_elsewhere = matrix.observed[:, ::step].copy()
    is_elsewhere[period, series // step] = False
    known = np.where(is_elsewhere, everyday[:, ::step], 0.0)
    sold = np.where(is_elsewhere, matrix.demand[:, ::step], 0.0)
    mean = known * (sold.sum(axis=0) / np.maximum(known.sum(axis=0), 1e-9))
    return float(_relative_squares(sold, mean).sum()), int(np.count_nonzero(is_elsewhere))


def _relative_squares(sold: FloatArray, mean: FloatArray) -> FloatArray:
    return np.divide((sold - mean) ** 2, mean, out=np.zeros_like(mean), where=mean > 0)


def _ratios(matrix: SeriesMatrix, pools: IntArray) -> tuple[FloatArray, FloatArray]:
    """Units per period and pool, and those expected with each series at its own mean while observed; both over the pool's mean."""
    level = matrix.demand.sum(axis=0) / np.maximum(matrix.observed.sum(axis=0), 1)
    totals, expected = _summed(matrix.demand, pools), _summed(matrix.observed * level, pools)
    means = totals.mean(axis=0)
    means = np.where(means > 0, means, 1.0)
    return totals / means, expected / means


def _summed(values: FloatArray, pools: IntArray) -> FloatArray:
    count = int(pools.max()) + 1
    return np.stack([np.bincount(pools, weights=row, minlength=count) for row in values])


def _first_of(rows: IntArray, pools: IntArray) -> IntArray:
    """Per pool, the entry of its first series: all its series have the same."""
    _, first = np.unique(pools, return_index=True)
    return rows[first]
