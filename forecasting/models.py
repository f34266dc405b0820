"""Point forecasts: seasonal naive and simple exponential smoothing on pooled weekday profiles, for all series at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.schema import HISTORY_MEAN, NO_MODEL, POOLED_SES, SEASON_DAYS, BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix

SMOOTHING_GRID: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
PROFILE_PRIOR_UNITS: Final = 100.0  # units of demand after which a pool's own weekday profile outweighs the wider pool's
WARM_UP_DAYS: Final = 28  # errors before that say more about the start than about the smoothing
LEAST_FIT_DAYS: Final = 14
RESIDUAL_DAYS: Final = 364


@dataclass(frozen=True, slots=True)
class PooledFit:
    """Smoothed levels of all series and what is needed to simulate on from them.

    Attributes:
        smoothing: Weight of the newest day, one for all series.
        profile: [weekday, series]; demand of the weekday over that of a mean day.
        levels: [day, series]; level before each day was seen, last row after the last day; units per mean day.
        residuals: [day, series]; the last one-step errors over the root of the profile, NaN where there is none.
        observed_counts: Days in stock per series.
    """

    matrix: SeriesMatrix
    smoothing: float
    profile: FloatArray
    levels: FloatArray
    residuals: FloatArray
    observed_counts: IntArray

    @property
    def level(self) -> FloatArray:
        """Level after the last day; NaN for a series that was never in stock."""
        return np.where(self.observed_counts > 0, self.levels[-1], np.nan)

    def future_profile(self, periods: int) -> FloatArray:
        """[period, series]; the profile of the days after the last one."""
        return self.profile[self.matrix.seasons(self.matrix.periods_count, periods)]

    def point(self, periods: int) -> FloatArray:
        """[period, series]; mean demand of the coming days in units."""
        return self.level * self.future_profile(periods)

    def model_names(self) -> list[str]:
        """Per series, what its forecast came from."""
        return [NO_MODEL if days == 0 else HISTORY_MEAN if days < LEAST_FIT_DAYS else POOLED_SES for days in self.observed_counts.tolist()]

    def fallback_reasons(self) -> list[str | None]:
        """Per series, why it is not the smoothed level; None where it is."""
        return [
            "no day in stock, so nothing is known of its demand" if days == 0
            else f"only {days} days in stock, {LEAST_FIT_DAYS} are needed: mean of those" if days < LEAST_FIT_DAYS
            else None
            for days in self.observed_counts.tolist()
        ]  # fmt: skip


def fit_pooled_ses(matrix: SeriesMatrix) -> PooledFit:
    """Every series has a level, on weekday profiles and a smoothing weight shared between series.

    The level follows l += a (y - p l) with profile p: with p = 1 simple exponential smoothing, and in general the
    deseasonalised recursion whose gain is proportional to p, so a weekday that hardly sells hardly moves the level and
    a closed day (p = 0) not at all. Until 1/a days have been seen the level is the mean of them. Days that are not
    observed change nothing. The weight is the one of `SMOOTHING_GRID` with the least squared one-step error, each
    series' error taken relative to its own variance.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 8.1.
    """
    profile = weekday_profile(matrix)
    exposure = np.where(matrix.observed, profile[matrix.seasons(0, matrix.periods_count)], 0.0)
    counted = matrix.observed & (np.cumsum(matrix.observed, axis=0) > WARM_UP_DAYS)
    smoothing = min(SMOOTHING_GRID, key=lambda weight: _relative_error(matrix.demand, exposure, counted, weight))
    levels = smooth(matrix.demand, exposure, smoothing=smoothing)
    return PooledFit(
        matrix=matrix,
        smoothing=smoothing,
        profile=profile,
        levels=levels,
        residuals=_residuals(matrix, exposure, levels),
        observed_counts=matrix.observed.sum(axis=0),
    )


def smooth(demand: FloatArray, exposure: FloatArray, *, smoothing: float) -> FloatArray:
    """Levels of simple exponential smoothing, [day + 1, series]; row t is the level before day t was seen.

    Args:
        demand: [day, series] in units, 0 where the exposure is 0.
        exposure: [day, series]; profile of the day, 0 where it was not observed.
        smoothing: Weight of the newest day.
    """
    seen = np.cumsum(exposure, axis=0)
    with np.errstate(divide="ignore"):
        gain = np.maximum(np.minimum(smoothing, 1.0 / exposure), 1.0 / np.maximum(seen, 1e-9))
    gain[exposure == 0.0] = 0.0
    levels = np.zeros((demand.shape[0] + 1, demand.shape[1]))
    for day in range(demand.shape[0]):
        levels[day + 1] = levels[day] + gain[day] * (demand[day] - exposure[day] * levels[day])
    return levels


def weekday_profile(matrix: SeriesMatrix) -> FloatArray:
    """Demand per weekday over that of a mean day, [weekday, series], shared within location x category.

    A pool's profile is its own observed over expected units, drawn towards the location's by `PROFILE_PRIOR_UNITS`
    units, and the location's in turn towards that of all series; so a small pool has the profile of the wider one.
    Expected units take each series at its own mean, so neither stock-outs nor a changing range bend the profile.
    """
    weekday = matrix.seasons(0, matrix.periods_count)
    units = np.stack([matrix.demand[weekday == day].sum(axis=0) for day in range(SEASON_DAYS)])
    days = np.stack([matrix.observed[weekday == day].sum(axis=0) for day in range(SEASON_DAYS)])
    expected = days * (units.sum(axis=0) / np.maximum(days.sum(axis=0), 1))
    whole = _shrunk(units.sum(axis=1, keepdims=True), expected.sum(axis=1, keepdims=True), np.ones((SEASON_DAYS, 1)))
    zeros = np.zeros(units.shape[1], dtype=np.int64)
    location = _pooled(units, expected, matrix.pools("location_id"), whole[:, zeros])
    return _pooled(units, expected, matrix.pools("location_id", "category"), location)


def seasonal_naive(matrix: SeriesMatrix, *, periods: int) -> FloatArray:
    """[period, series]; demand of the same weekday last time it was observed, NaN where it never was.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 5.2.
    """
    weekday = matrix.seasons(0, matrix.periods_count)
    latest = np.full((SEASON_DAYS, matrix.demand.shape[1]), np.nan)
    for day in range(SEASON_DAYS):
        observed, demand = matrix.observed[weekday == day], matrix.demand[weekday == day]
        if observed.shape[0]:
            last = observed.shape[0] - 1 - np.argmax(observed[::-1], axis=0)
            latest[day] = np.where(observed.any(axis=0), np.take_along_axis(demand, last[None, :], axis=0)[0], np.nan)
    return latest[matrix.seasons(matrix.periods_count, periods)]


def seasonal_differences(matrix: SeriesMatrix) -> FloatArray:
    """[day, series]; demand less that of the same weekday a week before, NaN unless both days were observed."""
    both = matrix.observed[SEASON_DAYS:] & matrix.observed[:-SEASON_DAYS]
    return np.where(both, matrix.demand[SEASON_DAYS:] - matrix.demand[:-SEASON_DAYS], np.nan)


def _pooled(units: FloatArray, expected: FloatArray, groups: IntArray, parent: FloatArray) -> FloatArray:
    count = int(groups.max()) + 1
    pooled_units, pooled_expected, prior = np.zeros((SEASON_DAYS, count)), np.zeros((SEASON_DAYS, count)), np.ones((SEASON_DAYS, count))
    for day in range(SEASON_DAYS):
        pooled_units[day] = np.bincount(groups, weights=units[day], minlength=count)
        pooled_expected[day] = np.bincount(groups, weights=expected[day], minlength=count)
    prior[:, groups] = parent
    return _shrunk(pooled_units, pooled_expected, prior)[:, groups]


def _shrunk(units: FloatArray, expected: FloatArray, prior: FloatArray) -> FloatArray:
    prior_units = PROFILE_PRIOR_UNITS / SEASON_DAYS
    ratio = (units + prior_units * prior) / (expected + prior_units)
    result: FloatArray = ratio / ratio.mean(axis=0)
    return result


def _relative_error(demand: FloatArray, exposure: FloatArray, counted: BoolArray, smoothing: float) -> float:
    levels = smooth(demand, exposure, smoothing=smoothing)
    days = np.maximum(counted.sum(axis=0), 1)
    squared = np.where(counted, (demand - exposure * levels[:-1]) ** 2, 0.0).sum(axis=0) / days
    mean = np.where(counted, demand, 0.0).sum(axis=0) / days
    variance = np.where(counted, (demand - mean) ** 2, 0.0).sum(axis=0) / days
    moving = variance > 0
    return float((squared[moving] / variance[moving]).mean()) if moving.any() else 0.0


def _residuals(matrix: SeriesMatrix, exposure: FloatArray, levels: FloatArray) -> FloatArray:
    first = max(0, matrix.periods_count - RESIDUAL_DAYS)
    usable = (exposure > 0) & (np.cumsum(matrix.observed, axis=0) > min(LEAST_FIT_DAYS, max(1, matrix.periods_count // 4)))
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = (matrix.demand - exposure * levels[:-1]) / np.sqrt(exposure)
    return np.where(usable, errors, np.nan)[first:]
