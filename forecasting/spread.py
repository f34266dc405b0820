"""How far demand summed over coming periods may stray from its forecast, learnt from how far past sums strayed.

A series' scale is a mixture of three variances: what series of its size had, its own errors lately, and its own errors
all along; the mixture is the one that explains the squared errors of all series best. Errors in units of the scale then
have a shape, pooled over series of like coefficient of variation: a lumpy item's demand is skewed, a steady one's hardly.
Levels are slow, so what the latest window strayed says how the next one will: each third of the series, from the most
overtaken to the most overtaking, has shapes of its own. Every past error is set against the scale as it stood before it, so
the shape holds for sums that are still to come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from forecasting.past_sums import PastSums, past_sums
from forecasting.shapes import KNOTS, NEIGHBOURS, PROBABILITIES, STEPS, pooled_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, IntArray

GROUPS: Final = 3  # of series by how far the latest window strayed
PRIOR_PERIODS: Final = 5.0  # periods after which one-step errors outweigh what is supposed of a new item
PRIOR_WINDOWS: Final = 1.0  # windows of its own after which a series' errors outweigh those of series of its size
MIXTURE_ERRORS: Final = 30.0  # errors after which the fitted mixture outweighs an even one
SHORT_MEMORY: Final = 2.0  # half-life of the errors lately, in horizons
CALIBRATION_WINDOWS: Final = 26  # origins half a horizon apart: 13 windows that do not overlap
WIDEST_ERROR: Final = 4.0  # times its scale; a larger error counts as one of these
MEAN_STEPS: Final = 200  # quantiles whose mean is the mean of the distribution
SERIES_AT_ONCE: Final = 2_000  # bounds the working memory
LAW_BINS: Final = 20
LAW_ERRORS: Final = 400  # per bin at least, if there are as many: few absurd ones must not make a law
LAW_POWER: Final = 1.0  # of the mean, beyond the sizes that were seen: as counts have it


class SumDistribution(Protocol):
    """What can tell quantiles of every series' demand over coming periods."""

    def quantiles(self, levels: tuple[float, ...] | FloatArray, rows: IntArray | None = None) -> FloatArray:
        """[level, series] in units; of all series or of some `rows`."""
        ...


@dataclass(frozen=True, slots=True)
class CumulativeSpread:
    """The distribution of every series' demand over coming periods.

    Attributes:
        expected: [series]; the point forecast's sum in units, NaN where there is none.
        scale: [series]; standard deviation of the sum's error in units.
        group: [series]; which shapes are its own.
        shapes: [group, knot, step]; quantiles of the error in units of the scale, at the coefficients of variation `KNOTS`.
    """

    expected: FloatArray
    scale: FloatArray
    group: IntArray
    shapes: FloatArray

    def quantiles(self, levels: tuple[float, ...] | FloatArray, rows: IntArray | None = None) -> FloatArray:
        """[level, series] in units, rising with the level and never below zero; of all series or of some `rows`."""
        rows = np.arange(len(self.expected)) if rows is None else rows
        expected, scale, group = self.expected[rows], self.scale[rows], self.group[rows]
        at_levels = np.apply_along_axis(lambda shape: np.interp(levels, PROBABILITIES, shape), 2, self.shapes)
        variation = scale / np.where(expected > 0, expected, 1.0)
        place = np.clip(2.0 * np.log2(np.maximum(variation, 1e-12) / KNOTS[0]), 0.0, len(KNOTS) - 1.0)
        low = np.minimum(np.nan_to_num(place).astype(np.int64), len(KNOTS) - 2)
        share = (place - low)[:, None]
        standard = (1.0 - share) * at_levels[group, low] + share * at_levels[group, low + 1]
        known = np.where(expected[:, None] > 0, expected[:, None] + scale[:, None] * standard, expected[:, None])
        result: FloatArray = np.maximum(known, 0.0).T
        return result


def mean_of(distribution: SumDistribution, count: int) -> FloatArray:
    """[series] in units; mean of the distribution of so many series, which carries how far past forecasts were off on average."""
    result = np.empty(count)
    for start in range(0, count, SERIES_AT_ONCE):
        rows = np.arange(start, min(start + SERIES_AT_ONCE, count))
        result[rows] = distribution.quantiles((np.arange(MEAN_STEPS) + 0.5) / MEAN_STEPS, rows).mean(axis=0)
    return result


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of demand, past or coming, with what is known of each on the evening before it.

    Attributes:
        series: [sum]; whose it is.
        expected: [sum]; the forecast in units, NaN where there is none.
        variances: [part, sum]; what series of its size have, its own errors lately, and its own errors all along.
        latest: [sum]; error of the window that ended as this one began, 0 where that is unknown.
    """

    series: IntArray
    expected: FloatArray
    variances: FloatArray
    latest: FloatArray

    def where(self, some: BoolArray) -> Sums:
        """Some of them."""
        return Sums(self.series[some], self.expected[some], self.variances[:, some], self.latest[some])


@dataclass(frozen=True, slots=True)
class PastErrors:
    """Past sums of all series one below the other, with how far they strayed.

    Attributes:
        sums: What was known of them.
        begins: [sum]; number of the first period.
        error: [sum]; demand less forecast in units.
        is_floor: [sum]; demand was at least so much, some of the window was out of stock.
    """

    sums: Sums
    begins: IntArray
    error: FloatArray
    is_floor: BoolArray

    def where(self, some: BoolArray) -> PastErrors:
        """Some of them."""
        return PastErrors(self.sums.where(some), self.begins[some], self.error[some], self.is_floor[some])


def fit_spread(fit: PooledFit, *, periods: int) -> CumulativeSpread:
    """The spread of demand over the coming periods, from all series' errors over past windows of that length."""
    return spread_of(*sums_and_errors(fit, periods=periods))


def sums_and_errors(fit: PooledFit, *, periods: int) -> tuple[Sums, PastErrors]:
    """The coming sum of every series, and past ones with their errors.

    Args:
        fit: Levels of all series before every past period.
        periods: Length of a window.
    """
    past = past_sums(fit, periods=periods)
    expected = fit.point(periods).sum(axis=0)
    law = _variance_law(past, fit, expected=expected, periods=periods)
    last_begin = fit.matrix.periods_count - periods
    return _known_over_time(past, expected, law=law, periods=periods, last_begin=last_begin)


def spread_of(sums: Sums, errors: PastErrors) -> CumulativeSpread:
    """The distribution of some sums, learnt from errors that were known before them.

    Source: for an error's own time against what was known then, Dawid (1984), Present position and potential developments:
    the prequential approach, JRSS A 147; for pooled standardised errors as quantiles, Vovk, Gammerman and Shafer (2005),
    Algorithmic Learning in a Random World, chapter 2.
    """
    mixture = _mixture(errors)
    scale, size = np.sqrt(mixture @ sums.variances), np.sqrt(mixture @ errors.sums.variances)
    group, error_group = _groups(_share(sums.latest, scale), _share(errors.sums.latest, size))
    shapes = np.empty((int(max(group.max(initial=0), error_group.max(initial=0))) + 1, len(KNOTS), STEPS))
    for number in range(len(shapes)):
        one = (error_group == number) & (size > 0)
        shapes[number] = pooled_shapes(errors.error[one] / size[one], size[one] / errors.sums.expected[one], errors.is_floor[one])
    return CumulativeSpread(expected=sums.expected, scale=scale, group=group, shapes=shapes)


def _latest(past: PastSums, window: int) -> FloatArray:
    """Error of the window, 0 where too little of it was in stock or there is none."""
    if window < 0:
        return np.zeros(past.error.shape[1])
    return np.where(past.is_usable[window], past.error[window].astype(np.float64), 0.0)


def _groups(now: FloatArray, past: FloatArray) -> tuple[IntArray, IntArray]:
    """Thirds by the latest error in units of the scale, of the series and of the sample; a small sample is one group."""
    count = int(np.clip(len(past) // NEIGHBOURS, 1, GROUPS))
    borders = np.quantile(past, np.arange(1, count) / count) if count > 1 else np.empty(0)
    return np.searchsorted(borders, now, side="right"), np.searchsorted(borders, past, side="right")


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _variance_law(past: PastSums, fit: PooledFit, *, expected: FloatArray, periods: int) -> Callable[[FloatArray], FloatArray]:
    """Variance of the error of a sum of so many units, as series of that size had it."""
    some = past.is_usable[:: max(1, periods // 2)]
    mean = past.expected[:: max(1, periods // 2)][some].astype(np.float64)
    squared = past.error[:: max(1, periods // 2)][some].astype(np.float64) ** 2
    if not len(mean):
        mean, squared = _one_step_squares(fit, expected=expected, periods=periods)
    order = np.argsort(mean, kind="stable")
    bins = [part for part in np.array_split(order, np.clip(len(order) // LAW_ERRORS, 1, LAW_BINS)) if len(part)]
    at = np.log([mean[part].mean() for part in bins] or [1.0])
    # the floor keeps demand that never strayed apart from demand of which nothing is known
    height = np.log([max(_mean_square(squared[part]), 1e-12 * mean[part].mean() ** 2) for part in bins] or [1.0])

    def law(sum_mean: FloatArray) -> FloatArray:
        size = np.log(np.maximum(sum_mean, 1e-300))
        beyond = size - np.clip(size, at[0], at[-1])
        result: FloatArray = np.where(sum_mean > 0, np.exp(np.interp(size, at, height) + LAW_POWER * beyond), 0.0)
        return result

    return law


def _mean_square(squared: FloatArray) -> float:
    return float(np.minimum(squared, WIDEST_ERROR**2 * squared.mean()).mean())


def _one_step_squares(fit: PooledFit, *, expected: FloatArray, periods: int) -> tuple[FloatArray, FloatArray]:
    """What a sum may stray where no past window was whole: from errors of single periods, with the level's own drift.

    Source: Hyndman, Koehler, Ord and Snyder (2008), Forecasting with Exponential Smoothing, section 6.6, ETS(A,N,N).
    """
    known = expected > 0
    counts = np.isfinite(fit.residuals).sum(axis=0)
    # as long as little is known, periods vary as much as an exponential distribution of that mean
    squares = np.nansum(fit.residuals**2, axis=0) + PRIOR_PERIODS * (expected / periods) ** 2
    per_period = squares / (counts + PRIOR_PERIODS)
    steps = np.arange(periods) * fit.smoothing
    return expected[known], (per_period * np.sum((1.0 + steps) ** 2))[known]


def _known_over_time(
    past: PastSums, expected: FloatArray, *, law: Callable[[FloatArray], FloatArray], periods: int, last_begin: int
) -> tuple[Sums, PastErrors]:
    """The coming sums with the three variances of every series, and past sums with those that were known before them.

    At an origin the newest error known is that of the window which ended there; overlapping windows count as one per
    horizon.
    """
    count, series = past.error.shape
    step = max(1, periods // 2)
    calibrated = {origin for origin in range(count - 1, -1, -step)[:CALIBRATION_WINDOWS] if origin >= periods}
    decay = np.array([[0.5 ** (1.0 / (SHORT_MEMORY * periods))], [1.0]])
    squares, weights = np.zeros((2, series)), np.zeros((2, series))

    def variances(mean: FloatArray) -> FloatArray:
        of_size = law(mean)
        own = (squares / periods + PRIOR_WINDOWS * of_size) / (weights / periods + PRIOR_WINDOWS)
        return np.vstack([of_size[None], own])

    rows: list[tuple[npt.NDArray[Any], ...]] = []
    limits: deque[FloatArray] = deque()  # of the windows that have begun and not yet ended
    for origin in range(count + periods):
        if origin >= periods:
            squared, usable = past.error[origin - periods].astype(np.float64) ** 2, past.is_usable[origin - periods]
            squares = decay * squares + np.where(usable, np.minimum(squared, limits.popleft()), 0.0)
            weights = decay * weights + usable
        if origin >= count:
            continue
        mean = past.expected[origin].astype(np.float64)
        now = variances(mean)
        limits.append(WIDEST_ERROR**2 * now[2])
        if origin in calibrated:
            told = np.flatnonzero(past.is_exact[origin] | past.is_floor[origin])
            begins = np.full(len(told), last_begin - (count - 1 - origin))
            latest = _latest(past, origin - periods)[told]
            rows.append((told, begins, mean[told], now[:, told], latest, past.least_error[origin, told], past.is_floor[origin, told]))
    coming = Sums(np.arange(series), expected, variances(np.nan_to_num(expected)), _latest(past, count - 1))
    return coming, _joined(rows)


def _joined(rows: list[tuple[npt.NDArray[Any], ...]]) -> PastErrors:
    none, nothing = np.empty(0, dtype=np.int64), np.empty(0)
    rows = [*rows, (none, none, nothing, np.empty((3, 0)), nothing, nothing, np.empty(0, dtype=np.bool_))]
    told, begins, mean, variances, latest, error, is_floor = (np.concatenate(column, axis=-1) for column in zip(*rows, strict=True))
    return PastErrors(Sums(told, mean, variances, latest), begins, error.astype(np.float64), is_floor)


def _mixture(errors: PastErrors) -> FloatArray:
    """Shares of the three variances that explain squared errors best, none negative.

    Squares are taken relative to the mean of the three, so that no size of series rules the fit, and drawn towards a
    third each.
    """
    from scipy.optimize import nnls  # noqa: PLC0415 - takes longer to import than all else here

    variances = errors.sums.variances
    reference = variances.mean(axis=0)
    some = ~errors.is_floor & (reference > 0)
    parts = (variances[:, some] / reference[some]).T
    target = np.minimum(errors.error[some] ** 2 / reference[some], WIDEST_ERROR**2)
    even = np.full(3, 1.0 / 3.0)
    root = np.linalg.cholesky(parts.T @ parts + MIXTURE_ERRORS * np.eye(3))
    shares, _ = nnls(root.T, np.linalg.solve(root, parts.T @ target + MIXTURE_ERRORS * even))
    result: FloatArray = shares
    return result
