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
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import optimize, stats

from forecasting.past_sums import PastSums, past_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecasting.pooled import PooledFit
    from forecasting.schema import BoolArray, FloatArray, IntArray

GROUPS: Final = 3  # of series by how far the latest window strayed
STEPS: Final = 1000  # probabilities a shape is kept at
KNOTS: Final = 0.05 * 2.0 ** (np.arange(15) / 2.0)  # coefficients of variation a shape is learnt at, 0.05 to 6.4
NEIGHBOURS: Final = 400  # errors a knot's shape rests on at least, if there are as many
PRIOR_ERRORS: Final = 30.0  # errors after which the pooled shape outweighs the gamma distribution's
PRIOR_PERIODS: Final = 5.0  # periods after which one-step errors outweigh what is supposed of a new item
PRIOR_WINDOWS: Final = 1.0  # windows of its own after which a series' errors outweigh those of series of its size
MIXTURE_ERRORS: Final = 30.0  # errors after which the fitted mixture outweighs an even one
SHORT_MEMORY: Final = 2.0  # half-life of the errors lately, in horizons
CALIBRATION_WINDOWS: Final = 26  # origins half a horizon apart: 13 windows that do not overlap
WIDEST_ERROR: Final = 4.0  # times its scale; a larger error counts as one of these
WIDEST_SHAPE: Final = 2.0  # times the gamma distribution's last step; a larger standardised error counts as that
LAW_BINS: Final = 20
LAW_ERRORS: Final = 400  # per bin at least, if there are as many: few absurd ones must not make a law
LAW_POWER: Final = 1.0  # of the mean, beyond the sizes that were seen: as counts have it


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
        at_levels = np.apply_along_axis(lambda shape: np.interp(levels, _probabilities(), shape), 2, self.shapes)
        variation = scale / np.where(expected > 0, expected, 1.0)
        place = np.clip(2.0 * np.log2(np.maximum(variation, 1e-12) / KNOTS[0]), 0.0, len(KNOTS) - 1.0)
        low = np.minimum(np.nan_to_num(place).astype(np.int64), len(KNOTS) - 2)
        share = (place - low)[:, None]
        standard = (1.0 - share) * at_levels[group, low] + share * at_levels[group, low + 1]
        known = np.where(expected[:, None] > 0, expected[:, None] + scale[:, None] * standard, expected[:, None])
        result: FloatArray = np.maximum(known, 0.0).T
        return result

    def mean(self) -> FloatArray:
        """[series] in units; mean of the distribution, which carries how far past forecasts were off on average."""
        result = np.empty_like(self.expected)
        for start in range(0, len(result), 2_000):
            rows = np.arange(start, min(start + 2_000, len(result)))
            result[rows] = self.quantiles((np.arange(200) + 0.5) / 200, rows).mean(axis=0)
        return result


def fit_spread(fit: PooledFit, *, periods: int) -> CumulativeSpread:
    """The spread of demand over the coming periods, from all series' errors over past windows of that length.

    Args:
        fit: Levels of all series before every past period.
        periods: Length of a window.

    Source: for an error's own time against what was known then, Dawid (1984), Present position and potential developments:
    the prequential approach, JRSS A 147; for pooled standardised errors as quantiles, Vovk, Gammerman and Shafer (2005),
    Algorithmic Learning in a Random World, chapter 2.
    """
    past = past_sums(fit, periods=periods)
    expected = fit.point(periods).sum(axis=0)
    law = _variance_law(past, fit, expected=expected, periods=periods)
    variances, sample = _variances_over_time(past, np.nan_to_num(expected), law=law, periods=periods)
    mixture = _mixture(sample)
    scale, size = np.sqrt(mixture @ variances), np.sqrt(mixture @ sample.variances)
    group, sample_group = _groups(_share(_latest(past, len(past.error) - 1), scale), _share(sample.latest, size))
    shapes = np.empty((int(max(group.max(initial=0), sample_group.max(initial=0))) + 1, len(KNOTS), STEPS))
    for number in range(len(shapes)):
        one = (sample_group == number) & (size > 0)
        shapes[number] = _shapes(sample.error[one] / size[one], size[one] / sample.expected[one], sample.is_floor[one])
    return CumulativeSpread(expected=expected, scale=scale, group=group, shapes=shapes)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Past errors of all series one below the other, each with the variances known before it."""

    error: FloatArray
    expected: FloatArray
    variances: FloatArray  # [part, error]
    latest: FloatArray  # error of the window that ended as this one began
    is_floor: BoolArray


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


def _variances_over_time(
    past: PastSums, expected: FloatArray, *, law: Callable[[FloatArray], FloatArray], periods: int
) -> tuple[FloatArray, _Sample]:
    """The three variances of every series for the coming sum, and those that were known before past sums.

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

    rows: list[tuple[FloatArray, ...]] = []
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
            latest = _latest(past, origin - periods)[told]
            rows.append((past.least_error[origin, told], mean[told], now[:, told], latest, past.is_floor[origin, told]))
    if not rows:
        rows.append((np.empty(0), np.empty(0), np.empty((3, 0)), np.empty(0), np.empty(0, dtype=np.bool_)))
    error, means, parts, latest, floors = (np.concatenate(column, axis=-1) for column in zip(*rows, strict=True))
    return variances(expected), _Sample(error.astype(np.float64), means, parts, latest, floors.astype(np.bool_))


def _mixture(sample: _Sample) -> FloatArray:
    """Shares of the three variances that explain squared errors best, none negative.

    Squares are taken relative to the mean of the three, so that no size of series rules the fit, and drawn towards a
    third each.
    """
    reference = sample.variances.mean(axis=0)
    some = ~sample.is_floor & (reference > 0)
    parts = (sample.variances[:, some] / reference[some]).T
    target = np.minimum(sample.error[some] ** 2 / reference[some], WIDEST_ERROR**2)
    even = np.full(3, 1.0 / 3.0)
    root = np.linalg.cholesky(parts.T @ parts + MIXTURE_ERRORS * np.eye(3))
    shares, _ = optimize.nnls(root.T, np.linalg.solve(root, parts.T @ target + MIXTURE_ERRORS * even))
    result: FloatArray = shares
    return result


def _shapes(errors: FloatArray, variation: FloatArray, is_floor: BoolArray) -> FloatArray:
    """[knot, step]; quantiles of standardised errors of like coefficient of variation, drawn towards a gamma distribution's."""
    order = np.argsort(variation, kind="stable")
    errors, is_floor, variation = errors[order], is_floor[order], variation[order]
    near = min(len(errors), max(NEIGHBOURS, len(errors) // len(KNOTS)))
    shapes = np.empty((len(KNOTS), STEPS))
    for index, knot in enumerate(KNOTS):
        first = int(np.clip(np.searchsorted(variation, knot) - near // 2, 0, len(errors) - near))
        chosen = slice(first, first + near)
        form = 1.0 / knot**2
        shapes[index] = (stats.gamma.ppf(_probabilities(), form) / form - 1.0) / knot
        if near:
            share = near / (near + PRIOR_ERRORS)
            # in a small sample one absurd quantity would be the upper percent
            likely = np.minimum(errors[chosen], WIDEST_SHAPE * shapes[index, -1])
            shapes[index] = share * _quantiles(likely, is_floor[chosen]) + (1.0 - share) * shapes[index]
    return shapes


def _quantiles(errors: FloatArray, is_floor: BoolArray) -> FloatArray:
    """Quantiles at the steps of a sample some of which are only known to be at least so large.

    Source: Kaplan and Meier (1958), Nonparametric estimation from incomplete observations, JASA 53; the largest counts as
    known, after Efron (1967).
    """
    order = np.lexsort((is_floor, errors))
    ordered, is_known = errors[order], ~is_floor[order]
    is_known[-1] = True
    at_risk = len(ordered) - np.arange(len(ordered))
    left = np.concatenate([[1.0], np.cumprod(1.0 - is_known / at_risk)[:-1]])
    mass = (left * is_known / at_risk)[is_known]
    return np.interp(_probabilities(), np.cumsum(mass) - mass / 2.0, ordered[is_known])


def _probabilities() -> FloatArray:
    return (np.arange(STEPS) + 0.5) / STEPS
