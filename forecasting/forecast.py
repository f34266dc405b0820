"""Daily forecasts with their quantiles."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecasting.intervals import daily_quantiles
from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.mending import joined, judge_series
from forecasting.models import seasonal_differences, seasonal_naive
from forecasting.pooled import PooledFit, fit_pooled
from forecasting.schema import (
    NO_MODEL,
    RESIDUAL_PERIODS,
    SEASON_DAYS,
    SEASONAL_NAIVE,
    SERIES_KEY,
    FloatArray,
    ForecastResult,
    Model,
    check_frequency,
    check_levels,
    check_positive,
    quantile_column,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def forecast(
    panel: pl.DataFrame,
    *,
    horizon: int,
    frequency: str,
    attributes: pl.DataFrame | None = None,
    model: Model = "auto",
    levels: tuple[float, ...] = (0.1, 0.5, 0.9),
    seed: int = 0,  # noqa: ARG001 - the signature is public; nothing is drawn for single days
) -> ForecastResult:
    """Mean and quantiles of demand for every series and each of the coming days.

    Args:
        panel: sku, location_id, demand_date, demand_qty (units per day), is_censored; one row per series and day.
        horizon: Days ahead of the panel's last one.
        frequency: "daily".
        attributes: sku, category and perhaps location_id, for pooled weekday profiles.
        model: "auto", "pooled_ensemble" or "seasonal_naive".
        levels: Probabilities, whole percents. The quantiles are of single days and must never be added up.
        seed: Not used by the models there are.

    Raises:
        ValueError: An argument or the panel is wrong; the message names it.
    """
    check_frequency(frequency)
    check_levels(levels)
    check_positive(horizon=horizon)
    whole = as_matrix(panel, attributes=attributes)
    matrix, notes = judge_series(whole)
    if model == SEASONAL_NAIVE:
        point, quantiles = naive_outlook(matrix, periods=horizon, levels=levels)
        known = np.isfinite(point.sum(axis=0))
        names = [SEASONAL_NAIVE if whole else NO_MODEL for whole in known.tolist()]
        reasons = [None if whole else "a weekday was never in stock" for whole in known.tolist()]
        return ForecastResult(
            _frame(matrix, point, quantiles, levels=levels, names=names, reasons=joined(whole.notes, notes, reasons)), None
        )
    if model not in {"auto", "pooled_ensemble"}:
        raise ValueError(f"model: {model!r} is not known; pass 'auto', 'pooled_ensemble' or 'seasonal_naive'.")
    fit = fit_pooled(matrix)
    point, quantiles = smoothed_outlook(fit, periods=horizon, levels=levels)
    return ForecastResult(
        _frame(
            matrix, point, quantiles, levels=levels, names=fit.model_names(), reasons=joined(whole.notes, notes, fit.fallback_reasons())
        ),
        fit.smoothing,
    )


def smoothed_outlook(fit: PooledFit, *, periods: int, levels: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Mean [period, series] and quantiles [level, period, series] of pooled smoothing.

    The spread grows as the level may drift: by the root of 1 + (h - 1) a^2 on day h.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), table 8.8, ETS(A,N,N).
    """
    point = fit.point(periods)
    drift = np.sqrt(1.0 + np.arange(periods) * fit.smoothing**2)[:, None]
    spread = np.sqrt(fit.future_profile(periods)) * drift
    return point, daily_quantiles(point, fit.residuals, spread=spread, levels=levels)


def naive_outlook(matrix: SeriesMatrix, *, periods: int, levels: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Mean [period, series] and quantiles [level, period, series] of seasonal naive.

    The spread grows with the root of the number of weeks ahead.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), table 5.2.
    """
    point = seasonal_naive(matrix, periods=periods)
    spread = np.sqrt(np.arange(periods) // SEASON_DAYS + 1.0)[:, None] * np.ones_like(point)
    if matrix.periods_count <= SEASON_DAYS:
        return point, np.repeat(point[None], len(levels), axis=0)
    return point, daily_quantiles(point, seasonal_differences(matrix)[-RESIDUAL_PERIODS[matrix.frequency] :], spread=spread, levels=levels)


def _frame(
    matrix: SeriesMatrix,
    point: FloatArray,
    quantiles: FloatArray,
    *,
    levels: tuple[float, ...],
    names: Sequence[str],
    reasons: Sequence[str | None],
) -> pl.DataFrame:
    horizon, count = point.shape
    dates = pl.Series("demand_date", [matrix.date_of(matrix.periods_count - 1) + timedelta(days=day) for day in range(1, horizon + 1)])
    frame = matrix.keys.with_columns(pl.Series("model", names, dtype=pl.String), pl.Series("fallback_reason", reasons, dtype=pl.String))[
        np.repeat(np.arange(count), horizon)
    ]
    return frame.with_columns(
        dates[np.tile(np.arange(horizon), count)].alias("demand_date"),
        pl.Series("demand_mean_qty", point.T.ravel()).fill_nan(None),
        *(pl.Series(quantile_column(level), quantiles[index].T.ravel()).fill_nan(None) for index, level in enumerate(levels)),
    ).select(*SERIES_KEY, "demand_date", "demand_mean_qty", *map(quantile_column, levels), "model", "fallback_reason")
