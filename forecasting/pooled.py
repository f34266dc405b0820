"""Levels of all series on pooled profiles: the mean of a few smoothing methods, fitted together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.profiles import weekday_profile
from forecasting.schema import HISTORY_MEAN, LEAST_FIT_PERIODS, NO_MODEL, POOLED_ENSEMBLE, RESIDUAL_PERIODS
from forecasting.smoothing import adida_levels, ses_levels, tsb_levels

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray, FloatArray, IntArray

SMOOTHING_GRID: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
WARM_UP_SHARE: Final = 4  # errors in the first quarter of the history, at most 28 periods, say more about the start
WARM_UP_PERIODS: Final = 28


@dataclass(frozen=True, slots=True)
class PooledFit:
    """Levels of all series, the factors of season and calendar, and what is needed to simulate on from them.

    Attributes:
        matrix: What was fitted.
        smoothing: Weight of the newest period, one for all series.
        profile: [period, series]; demand of each past period over that of a mean period, observed or not.
        season: [place in season, series]; the part of the profile that comes again.
        levels: [period + 1, series]; level before each period was seen, last row after the last one; units per mean period.
        residuals: [period, series]; the last one-step errors over the root of the profile, NaN where there is none.
        observed_counts: Observed periods per series.
    """

    matrix: SeriesMatrix
    smoothing: float
    profile: FloatArray
    season: FloatArray
    levels: FloatArray
    residuals: FloatArray
    observed_counts: IntArray

    @property
    def exposure(self) -> FloatArray:
        """[period, series]; the profile where observed, else 0."""
        return np.where(self.matrix.observed, self.profile, 0.0)

    @property
    def level(self) -> FloatArray:
        """Level after the last period; NaN for a series that was never observed."""
        return np.where(self.observed_counts > 0, self.levels[-1], np.nan)

    def future_profile(self, periods: int) -> FloatArray:
        """[period, series]; the profile of the periods after the last one."""
        return self.season[self.matrix.seasons(self.matrix.periods_count, periods)]

    def point(self, periods: int) -> FloatArray:
        """[period, series]; mean demand of the coming periods in units."""
        return self.level * self.future_profile(periods)

    def model_names(self) -> list[str]:
        """Per series, what its forecast came from."""
        least = LEAST_FIT_PERIODS[self.matrix.frequency]
        return [NO_MODEL if count == 0 else HISTORY_MEAN if count < least else POOLED_ENSEMBLE for count in self.observed_counts.tolist()]

    def fallback_reasons(self) -> list[str | None]:
        """Per series, why it is not the smoothed level; None where it is."""
        unit, least = self.matrix.period_name, LEAST_FIT_PERIODS[self.matrix.frequency]
        return [
            f"no {unit} in stock, so nothing is known of its demand" if count == 0
            else f"only {count} {unit}s in stock, {least} are needed: mean of those" if count < least
            else None
            for count in self.observed_counts.tolist()
        ]  # fmt: skip


def fit_pooled(matrix: SeriesMatrix) -> PooledFit:
    """Every series has a level, on profiles and a smoothing weight shared between series.

    The level is the mean of simple exponential smoothing, TSB and ADIDA. Periods that are not observed change nothing.
    The weight is the one of `SMOOTHING_GRID` with the least squared one-step error of exponential smoothing, each
    series' error taken relative to its own variance.

    Source: Petropoulos and Svetunkov (2020), A simple combination of univariate models, IJF 36, for the mean of few methods.
    """
    season = weekday_profile(matrix)
    profile = season[matrix.seasons(0, matrix.periods_count)]
    exposure = np.where(matrix.observed, profile, 0.0)
    smoothing = _best_smoothing(matrix, exposure)
    levels = sum(
        (method(matrix.demand, exposure, smoothing=smoothing) for method in (tsb_levels, adida_levels)),
        start=ses_levels(matrix.demand, exposure, smoothing=smoothing),
    )
    levels /= 3
    return PooledFit(
        matrix=matrix,
        smoothing=smoothing,
        profile=profile,
        season=season,
        levels=levels,
        residuals=_residuals(matrix, exposure, levels),
        observed_counts=matrix.observed.sum(axis=0),
    )


def _best_smoothing(matrix: SeriesMatrix, exposure: FloatArray) -> float:
    warm_up = min(WARM_UP_PERIODS, matrix.periods_count // WARM_UP_SHARE)
    counted = matrix.observed & (np.cumsum(matrix.observed, axis=0) > warm_up)
    return min(SMOOTHING_GRID, key=lambda weight: _relative_error(matrix.demand, exposure, counted, weight))


def _relative_error(demand: FloatArray, exposure: FloatArray, counted: BoolArray, smoothing: float) -> float:
    levels = ses_levels(demand, exposure, smoothing=smoothing)
    periods = np.maximum(counted.sum(axis=0), 1)
    squared = np.where(counted, (demand - exposure * levels[:-1]) ** 2, 0.0).sum(axis=0) / periods
    mean = np.where(counted, demand, 0.0).sum(axis=0) / periods
    variance = np.where(counted, (demand - mean) ** 2, 0.0).sum(axis=0) / periods
    moving = variance > 0
    return float((squared[moving] / variance[moving]).mean()) if moving.any() else 0.0


def _residuals(matrix: SeriesMatrix, exposure: FloatArray, levels: FloatArray) -> FloatArray:
    first = max(0, matrix.periods_count - RESIDUAL_PERIODS[matrix.frequency])
    least = min(LEAST_FIT_PERIODS[matrix.frequency], max(1, matrix.periods_count // 4))
    usable = (exposure > 0) & (np.cumsum(matrix.observed, axis=0) > least)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (matrix.demand - exposure * levels[:-1]) / np.sqrt(exposure)
    return np.where(usable, errors, np.nan)[first:]
