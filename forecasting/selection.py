"""One model for all series, by how the candidates did on past cut-offs; never one that did worse than seasonal naive.

Source: a choice per series is worse than one for all; Petropoulos et al. (2014), 'Horses for courses' in demand forecasting,
EJOR 237, and the project's own backtests (docs/methods/forecasting.md).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.hierarchy import group_sums
from forecasting.naive import season_lag, seasonal_naive
from forecasting.pooled import PooledFit, fit_pooled, with_methods
from forecasting.schema import CYCLE_PERIODS, LEAST_FIT_PERIODS, POOLED_ENSEMBLE, SEASONAL_NAIVE
from forecasting.silent import put_back
from forecasting.smoothing import ses_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray
    from forecasting.smoothing import LevelMethod

WINDOWS: Final = 3
SERIES_TRIED: Final = 1_500  # more cost time and change no choice
SES: Final = "ses"
WIDEST_ERROR: Final = 4.0  # standard deviations of a series' past; a choice for all must not hang on one quantity
LEAST_GAIN: Final = 0.99  # what another candidate has to score of the first one's to replace it

_SES: Final[Sequence[LevelMethod]] = (ses_levels,)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        name: "pooled_ensemble", "pooled_ensemble_without_year", "pooled_ensemble_without_calendar", "ses" or "seasonal_naive".
        scores: Per candidate, its error over that of seasonal naive; empty where the history has no room for a cut-off.
    """

    name: str
    scores: dict[str, float]

    def fit(self, matrix: SeriesMatrix) -> PooledFit:
        """The chosen fit on all series; where seasonal naive won, the ensemble's, whose errors are to be simulated from."""
        return _CANDIDATES.get(self.name, _ensemble)(matrix)


def choose(matrix: SeriesMatrix, *, periods: int) -> Choice:
    """The candidate with the least error over the coming `periods`, tried on `WINDOWS` past cut-offs.

    The error is the root of squared error over seasonal naive's, half of it of single series (each in units of its own
    variance), half of sums over locations x categories.

    Args:
        matrix: Demand of all series; of many, every n-th that sells is tried.
        periods: How far ahead.
    """
    sample = _sample(matrix)
    cutoffs = _cutoffs(matrix, periods)
    names = [name for name in _CANDIDATES if name != "pooled_ensemble_without_year" or _is_yearly(matrix)]
    has_calendar = matrix.calendar is not None or matrix.item_facts is not None
    names = [name for name in names if name != "pooled_ensemble_without_calendar" or has_calendar]
    if not cutoffs or not sample.keys.height:
        return Choice(POOLED_ENSEMBLE, {})
    errors = {name: np.zeros(2) for name in (SEASONAL_NAIVE, *names)}
    for cutoff in cutoffs:
        known = sample.until(cutoff)
        errors[SEASONAL_NAIVE] += _errors(sample, cutoff, _filled(seasonal_naive(known, periods=periods), known))
        sold, rows = known.selling()
        ensemble = _ensemble(sold)
        for name in names:
            fit = ensemble if name == POOLED_ENSEMBLE else with_methods(ensemble, _SES) if name == SES else _CANDIDATES[name](sold)
            errors[name] += _errors(sample, cutoff, _filled(put_back(known, rows, fit.point(periods)), known))
    naive = errors.pop(SEASONAL_NAIVE)
    scores = {name: _over_naive(error, naive) for name, error in errors.items()}
    best = min(scores, key=lambda name: scores[name])
    chosen = POOLED_ENSEMBLE if scores[POOLED_ENSEMBLE] * LEAST_GAIN <= scores[best] else best
    return Choice(chosen if scores[chosen] < 1.0 else SEASONAL_NAIVE, scores)


def _over_naive(error: FloatArray, naive: FloatArray) -> float:
    """Root of error over naive's, in the mean; infinite where naive alone was without error."""
    ratio = np.divide(error, naive, out=np.where(error > 0, np.inf, 0.0), where=naive > 0)
    return float(np.sqrt(ratio).mean())


def _ensemble(matrix: SeriesMatrix) -> PooledFit:
    return fit_pooled(matrix)


def _without_year(matrix: SeriesMatrix) -> PooledFit:
    return fit_pooled(matrix, is_yearly=False)


def _without_calendar(matrix: SeriesMatrix) -> PooledFit:
    return fit_pooled(dataclasses.replace(matrix, calendar=None, item_facts=None))


def _ses(matrix: SeriesMatrix) -> PooledFit:
    return fit_pooled(matrix, methods=_SES, is_reconciled=False)


_CANDIDATES: Final[Mapping[str, Callable[[SeriesMatrix], PooledFit]]] = {
    POOLED_ENSEMBLE: _ensemble,
    "pooled_ensemble_without_year": _without_year,
    "pooled_ensemble_without_calendar": _without_calendar,
    SES: _ses,
}


def _is_yearly(matrix: SeriesMatrix) -> bool:
    return matrix.periods_count >= 2 * CYCLE_PERIODS[matrix.frequency]


def _sample(matrix: SeriesMatrix) -> SeriesMatrix:
    selling = np.flatnonzero(matrix.demand.any(axis=0))
    return matrix.of(selling[:: max(1, len(selling) // SERIES_TRIED)])


def _cutoffs(matrix: SeriesMatrix, periods: int) -> list[int]:
    least = max(2 * LEAST_FIT_PERIODS[matrix.frequency], season_lag(matrix) + 1, matrix.periods_count // 2)
    cutoffs = [matrix.periods_count - periods * window for window in range(1, WINDOWS + 1)]
    return [cutoff for cutoff in cutoffs if cutoff >= least]


def _filled(point: FloatArray, known: SeriesMatrix) -> FloatArray:
    """Without gaps: a series not seen before the cut-off, or never in this season, at the mean of what was seen of it."""
    mean = known.demand.sum(axis=0) / np.maximum(known.observed.sum(axis=0), 1)
    return np.where(np.isfinite(point), point, mean)


def _errors(sample: SeriesMatrix, cutoff: int, point: FloatArray) -> FloatArray:
    """Squared error of series and of sums, one absurd quantity counting as a few standard deviations of its series."""
    periods = slice(cutoff, cutoff + len(point))
    was_seen = sample.observed[periods] & sample.observed[:cutoff].any(axis=0)
    error = np.where(was_seen, point - sample.demand[periods], 0.0)
    past, seen = sample.demand[:cutoff], np.maximum(sample.observed[:cutoff].sum(axis=0), 1)
    variance = (past**2).sum(axis=0) / seen - (past.sum(axis=0) / seen) ** 2
    reach = np.where(variance > 0, WIDEST_ERROR * np.sqrt(variance), np.inf)
    error = np.clip(error, -reach, reach)
    single = np.divide((error**2).sum(axis=0), variance, out=np.zeros_like(variance), where=variance > 0)
    pools: IntArray = sample.pools("location_id", "category")
    return np.array([single.sum(), (group_sums(error, pools) ** 2).sum()])
