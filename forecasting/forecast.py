"""Forecasts of single periods with their quantiles."""

from __future__ import annotations

import numpy as np
import polars as pl

from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.models import Outlook, outlook
from forecasting.schema import (
    SERIES_KEY,
    ForecastResult,
    check_frequency,
    check_levels,
    check_not_negative,
    check_positive,
    keys_as_given,
    quantile_column,
)


def forecast(
    panel: pl.DataFrame,
    *,
    horizon: int,
    frequency: str,
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    model: str = "auto",
    levels: tuple[float, ...] = (0.1, 0.5, 0.9),
    seed: int = 0,
) -> ForecastResult:
    """Mean and quantiles of demand for every series and each of the coming periods.

    Args:
        panel: sku, location_id, demand_date (first day of the period), demand_qty (units per period), is_censored; one row
            per series and period.
        horizon: Periods ahead of the panel's last one.
        frequency: "daily", "weekly" or "monthly".
        attributes: sku, perhaps location_id, and category columns, for pooled profiles and the hierarchy.
        calendar: demand_date, perhaps sku, location_id or an attribute as keys, and what is known ahead: events (text),
            flags (true or false), amounts (numbers), of past and coming days. An item's day without a row has no event, no
            flag and no discount.
        model: "auto", or a name of `forecasting.models.model_names`.
        levels: Probabilities; 0.9 gives demand_p90_qty, 0.975 demand_p97_5_qty. The quantiles are of single periods and must
            never be added up.
        seed: For models that draw.

    Raises:
        ValueError: An argument or the panel is wrong; the message names it.
    """
    known = check_frequency(frequency)
    check_levels(levels)
    check_positive(horizon=horizon)
    check_not_negative(seed=seed)
    matrix = as_matrix(panel, frequency=known, attributes=attributes, calendar=calendar)
    seen = outlook(matrix, model=model, periods=horizon, levels=levels, seed=seed)
    return ForecastResult(keys_as_given(_frame(matrix, seen, levels=levels), panel), seen.smoothing, matrix.calendar_left_out)


def _frame(matrix: SeriesMatrix, seen: Outlook, *, levels: tuple[float, ...]) -> pl.DataFrame:
    horizon, count = seen.point.shape
    dates = matrix.dates(matrix.periods_count, horizon)
    facts = matrix.keys.with_columns(
        pl.Series("model", seen.names, dtype=pl.String), pl.Series("fallback_reason", seen.reasons, dtype=pl.String)
    )
    return (
        facts[np.repeat(np.arange(count), horizon)]
        .with_columns(
            dates[np.tile(np.arange(horizon), count)].alias("demand_date"),
            pl.Series("demand_mean_qty", seen.point.T.ravel()).fill_nan(None),
            *(pl.Series(quantile_column(level), seen.quantiles[index].T.ravel()).fill_nan(None) for index, level in enumerate(levels)),
        )
        .select(*SERIES_KEY, "demand_date", "demand_mean_qty", *map(quantile_column, levels), "model", "fallback_reason")
    )
