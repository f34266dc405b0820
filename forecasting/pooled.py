"""Levels of all series on pooled factors of season and calendar: the mean of a few smoothing methods, fitted together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.calendar_effects import CalendarEffects, fit_calendar_effects
from forecasting.hierarchy import Hierarchy, fit_hierarchy
from forecasting.outliers import cut_outliers, cut_reasons
from forecasting.schema import HISTORY_MEAN, LEAST_FIT_PERIODS, NO_MODEL, POOLED_ENSEMBLE, RESIDUAL_PERIODS
from forecasting.smoothing import adida_levels, ses_levels, tsb_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray
    from forecasting.smoothing import LevelMethod

SMOOTHING_GRID: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
WARM_UP_PERIODS: Final = 28  # at most a quarter of the history: errors before that say more about the start
LEAST_VARIANCE: Final = 1e-12  # of demand over its largest quantity; what varies less tells nothing of smoothing
SERIES_FOR_SMOOTHING: Final = 500  # more do not change the choice
ENSEMBLE: Final[Sequence[LevelMethod]] = (ses_levels, tsb_levels, adida_levels)


@dataclass(frozen=True, slots=True)
class PooledFit:
    """Levels of all series, the factors of season and calendar, and what is needed to simulate on from them.

    Attributes:
        matrix: What was fitted, without outliers.
        smoothing: Weight of the newest period, one for all series.
        effects: Season and calendar.
        hierarchy: Sums that the forecasts agree with; None where there are none.
        profile: [period, series]; demand of each past period over that of a mean period, observed or not.
        levels: [period + 1, series]; level before each period was seen, last row after the last one; units per mean period.
        residuals: [period, series]; the last one-step errors over the root of the profile, NaN where there is none.
        observed_counts: Observed periods per series.
        limits: Per series, the quantity above which some were taken for mistakes, NaN where none was.
    """

    matrix: SeriesMatrix
    smoothing: float
    effects: CalendarEffects
    hierarchy: Hierarchy | None
    profile: FloatArray
    levels: FloatArray
    residuals: FloatArray
    observed_counts: IntArray
    limits: FloatArray

    @property
    def exposure(self) -> FloatArray:
        """[period, series]; the profile where observed, else 0."""
        return np.where(self.matrix.observed, self.profile, 0.0)

    @property
    def level(self) -> FloatArray:
        """Level after the last period; NaN for a series that was never observed."""
        return np.where(self.observed_counts > 0, self.levels[-1], np.nan)

    def future_profile(self, periods: int) -> FloatArray:
        """[period, series]; the profile of the periods after the last one, such that items and their sums agree."""
        profile = self.effects.factors(self.matrix.periods_count, periods)
        return profile if self.hierarchy is None else self.hierarchy.reconciled(profile, self.levels[-1])

    def point(self, periods: int) -> FloatArray:
        """[period, series]; mean demand of the coming periods in units."""
        return self.level * self.future_profile(periods)

    def model_names(self) -> list[str]:
        """Per series, what its forecast came from."""
        return names_by_history(self.matrix)

    def fallback_reasons(self) -> list[str | None]:
        """Per series, why it is not the smoothed level and what was cut; None where all is as it should be."""
        both = zip(reasons_by_history(self.matrix), cut_reasons(self.limits), strict=True)
        return ["; ".join(part for part in parts if part) or None for parts in both]


def names_by_history(matrix: SeriesMatrix) -> list[str]:
    """Per series, what its forecast comes from by how long it was in stock."""
    least = LEAST_FIT_PERIODS[matrix.frequency]
    counts = matrix.observed.sum(axis=0).tolist()
    return [NO_MODEL if count == 0 else HISTORY_MEAN if count < least else POOLED_ENSEMBLE for count in counts]


def reasons_by_history(matrix: SeriesMatrix) -> list[str | None]:
    """Per series, why that is not the smoothed level; None where it is."""
    unit, least = matrix.period_name, LEAST_FIT_PERIODS[matrix.frequency]
    return [
        f"no {unit} in stock, so nothing is known of its demand" if count == 0
        else f"only {count} {unit}s in stock, {least} are needed: mean of those" if count < least
        else None
        for count in matrix.observed.sum(axis=0).tolist()
    ]  # fmt: skip


def fit_pooled(
    matrix: SeriesMatrix, *, methods: Sequence[LevelMethod] = ENSEMBLE, is_yearly: bool = True, is_reconciled: bool = True
) -> PooledFit:
    """Every series has a level, on factors and a smoothing weight shared between series.

    The level is the mean of the methods'; periods that are not observed change nothing. The weight is the one of
    `SMOOTHING_GRID` with the least squared one-step error of exponential smoothing, each series' error taken relative to
    its own variance.

    Source: Petropoulos and Svetunkov (2020), A simple combination of univariate models, IJF 36, for the mean of few methods.

    Args:
        matrix: Demand of all series, with attributes for pools and what the calendar knows.
        methods: From `forecasting.smoothing`.
        is_yearly: With waves over the year, where two years are known.
        is_reconciled: Forecasts agree with those of their sums.
    """
    demand, limits = cut_outliers(matrix.demand)
    matrix = matrix if demand is matrix.demand else dataclasses.replace(matrix, demand=demand)
    effects = fit_calendar_effects(matrix, is_yearly=is_yearly)
    profile = effects.factors(0, matrix.periods_count)
    exposure = np.where(matrix.observed, profile, 0.0)
    smoothing = _best_smoothing(matrix, exposure)
    levels = _mean_levels(demand, exposure, methods, smoothing=smoothing)
    return PooledFit(
        matrix=matrix,
        smoothing=smoothing,
        effects=effects,
        hierarchy=fit_hierarchy(matrix, demand, exposure, smoothing=smoothing) if is_reconciled else None,
        profile=profile,
        levels=levels,
        residuals=_residuals(matrix, exposure, levels),
        observed_counts=matrix.observed.sum(axis=0),
        limits=limits,
    )


def with_methods(fit: PooledFit, methods: Sequence[LevelMethod]) -> PooledFit:
    """The same factors and smoothing weight, levels by other methods, no agreement with sums; at a small part of a new fit's cost."""
    levels = _mean_levels(fit.matrix.demand, fit.exposure, methods, smoothing=fit.smoothing)
    return dataclasses.replace(fit, levels=levels, hierarchy=None, residuals=_residuals(fit.matrix, fit.exposure, levels))


def _mean_levels(demand: FloatArray, exposure: FloatArray, methods: Sequence[LevelMethod], *, smoothing: float) -> FloatArray:
    levels = methods[0](demand, exposure, smoothing=smoothing)
    for method in methods[1:]:
        levels += method(demand, exposure, smoothing=smoothing)
    levels /= len(methods)
    return levels


def _best_smoothing(matrix: SeriesMatrix, exposure: FloatArray) -> float:
    moving = np.flatnonzero((matrix.demand.max(axis=0) > 0) & (matrix.observed.sum(axis=0) > 1))
    some = moving[:: max(1, len(moving) // SERIES_FOR_SMOOTHING)]
    observed, demand, share = matrix.observed[:, some], matrix.demand[:, some], exposure[:, some]
    counted = observed & (np.cumsum(observed, axis=0) > min(WARM_UP_PERIODS, matrix.periods_count // 4))
    if not len(some):
        return SMOOTHING_GRID[0]
    demand = demand / demand.max(axis=0)
    # all weights in one pass, side by side: a loop over periods costs the same for six times as many columns
    tries = len(SMOOTHING_GRID)
    weights = np.repeat(SMOOTHING_GRID, len(some))
    levels = ses_levels(np.tile(demand, tries), np.tile(share, tries), smoothing=weights)[:-1].reshape(len(demand), tries, len(some))
    periods = np.maximum(counted.sum(axis=0), 1)
    squared = np.where(counted[:, None], (demand[:, None] - share[:, None] * levels) ** 2, 0.0).sum(axis=0) / periods
    mean = np.where(counted, demand, 0.0).sum(axis=0) / periods
    variance = np.where(counted, (demand - mean) ** 2, 0.0).sum(axis=0) / periods
    is_moving = variance > LEAST_VARIANCE
    return SMOOTHING_GRID[int(np.argmin((squared[:, is_moving] / variance[is_moving]).sum(axis=1)))]


def _residuals(matrix: SeriesMatrix, exposure: FloatArray, levels: FloatArray) -> FloatArray:
    first = max(0, matrix.periods_count - RESIDUAL_PERIODS[matrix.frequency])
    least = min(LEAST_FIT_PERIODS[matrix.frequency], max(1, matrix.periods_count // 4))
    usable = (exposure > 0) & (np.cumsum(matrix.observed, axis=0) > least)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (matrix.demand - exposure * levels[:-1]) / np.sqrt(exposure)
    return np.where(usable, errors, np.nan)[first:]
