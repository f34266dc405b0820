"""Rolling-origin backtest: what the models would have said on past days, knowing only what was known then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from forecasting.forecast import naive_outlook, smoothed_outlook
from forecasting.intervals import path_chunks
from forecasting.matrix import SeriesMatrix, as_matrix
from forecasting.models import seasonal_differences
from forecasting.pooled import fit_pooled
from forecasting.schema import (
    LEAST_FIT_PERIODS,
    POOLED_ENSEMBLE,
    SEASON_DAYS,
    SEASONAL_NAIVE,
    SERIES_KEY,
    Backtest,
    FloatArray,
    IntArray,
    check_frequency,
    check_positive,
)
from forecasting.scores import mase_scale, quantile_loss, score_models, score_series

if TYPE_CHECKING:
    from collections.abc import Sequence

BAND: Final = (0.1, 0.9)
HORIZON_LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
LEAST_TRAINING_DAYS: Final = 28
BACKTEST_PATHS: Final = 200


def backtest(
    panel: pl.DataFrame,
    *,
    horizon: int,
    frequency: str,
    windows: int,
    step: int | None = None,
    models: Sequence[Literal["pooled_ensemble", "seasonal_naive"]] | None = None,
    attributes: pl.DataFrame | None = None,
) -> Backtest:
    """Forecasts from several past cut-offs beside what came.

    The last window ends on the panel's last day, each earlier one `step` days before. Profiles, smoothing and levels
    are fitted anew at every cut-off on the days up to it. A series takes part in a window with two weeks in stock
    before it.

    Args:
        panel: sku, location_id, demand_date, demand_qty (units per day), is_censored; one row per series and day.
        horizon: Days per window.
        frequency: "daily".
        windows: Number of cut-offs.
        step: Days between cut-offs; default is the horizon.
        models: Default is both, "pooled_ensemble" and "seasonal_naive".
        attributes: sku, category and perhaps location_id, for pooled weekday profiles.

    Raises:
        ValueError: An argument or the panel is wrong, or the history too short for so many windows.
    """
    check_frequency(frequency)
    step = horizon if step is None else step
    check_positive(horizon=horizon, windows=windows, step=step)
    chosen = tuple(models) if models is not None else (POOLED_ENSEMBLE, SEASONAL_NAIVE)
    unknown = [name for name in chosen if name not in {POOLED_ENSEMBLE, SEASONAL_NAIVE}]
    if unknown or not chosen:
        raise ValueError(f"models: {unknown!r} of {chosen!r} are not known; pass 'pooled_ensemble', 'seasonal_naive' or both.")
    matrix = as_matrix(panel, attributes=attributes)
    cutoffs = _cutoffs(matrix.periods_count, horizon=horizon, windows=windows, step=step)
    frames: list[pl.DataFrame] = []
    totals: list[pl.DataFrame] = []
    for cutoff in cutoffs:
        known = matrix.until(cutoff)
        rows = np.flatnonzero(known.observed.sum(axis=0) >= LEAST_FIT_PERIODS["daily"])
        for name in chosen:
            if name == POOLED_ENSEMBLE:
                fit = fit_pooled(known)
                point, band = smoothed_outlook(fit, periods=horizon, levels=BAND)
                quantiles = np.full((len(HORIZON_LEVELS), matrix.keys.height), np.nan)
                for chunk, paths in path_chunks(fit, rows, periods=horizon, paths=BACKTEST_PATHS, seed=cutoff):
                    quantiles[:, chunk] = np.quantile(paths.sum(axis=2, dtype=np.float64), HORIZON_LEVELS, axis=1)
                totals.append(_horizon_frame(matrix, cutoff, horizon, rows, quantiles))
            else:
                point, band = naive_outlook(known, periods=horizon, levels=BAND)
            frames.append(_window_frame(matrix, cutoff, rows, model=name, point=point, band=band))
    frame = pl.concat(frames).sort("cutoff_date", *SERIES_KEY, "demand_date", "model")
    past = matrix.until(cutoffs[0])
    scores = score_series(frame, mase_scale(matrix, seasonal_differences(past)))
    return Backtest(frame=frame, scores=score_models(frame, scores), series_scores=scores, horizon_scores=_horizon_scores(totals))


def most_windows(days_count: int, *, horizon: int, at_most: int) -> int:
    """As many windows as the history has room for, with four weeks to learn from before the first one."""
    return max(0, min(at_most, (days_count - LEAST_TRAINING_DAYS) // horizon))


def _cutoffs(days_count: int, *, horizon: int, windows: int, step: int) -> list[int]:
    first = days_count - horizon - (windows - 1) * step
    if first < max(LEAST_TRAINING_DAYS, SEASON_DAYS + 1):
        raise ValueError(
            f"windows: {windows} windows of {horizon} days, {step} apart, leave {first} of {days_count} days to learn from and "
            f"{LEAST_TRAINING_DAYS} are needed; pass fewer or shorter windows."
        )
    return [first + window * step for window in range(windows)]


def _window_frame(matrix: SeriesMatrix, cutoff: int, rows: IntArray, *, model: str, point: FloatArray, band: FloatArray) -> pl.DataFrame:
    horizon = point.shape[0]
    days = slice(cutoff, cutoff + horizon)
    # rows outside a series' own span are neither observed nor censored: they are no days of it
    exists = (matrix.observed[days] | matrix.censored[days])[:, rows].T.ravel()
    dates = pl.Series("demand_date", [matrix.date_of(cutoff + day) for day in range(horizon)])
    values = {
        "forecast_qty": point, "forecast_p10_qty": band[0], "forecast_p90_qty": band[1], "actual_qty": matrix.demand[days]
    }  # fmt: skip
    return (
        matrix.keys[np.repeat(rows, horizon)]
        .with_columns(
            pl.lit(matrix.date_of(cutoff - 1)).alias("cutoff_date"),
            dates[np.tile(np.arange(horizon), len(rows))],
            pl.lit(model).alias("model"),
            *(pl.Series(name, array[:, rows].T.ravel()).fill_nan(None) for name, array in values.items()),
            pl.Series("is_censored", matrix.censored[days][:, rows].T.ravel()),
        )
        .filter(pl.Series(exists))
        .select("cutoff_date", *SERIES_KEY, "demand_date", "model", *values, "is_censored")
    )


def _horizon_frame(matrix: SeriesMatrix, cutoff: int, horizon: int, rows: IntArray, quantiles: FloatArray) -> pl.DataFrame:
    days = slice(cutoff, cutoff + horizon)
    whole = rows[matrix.observed[days][:, rows].all(axis=0) & np.isfinite(quantiles[:, rows]).all(axis=0)]
    actual = matrix.demand[days][:, whole].sum(axis=0)
    return pl.concat(
        pl.DataFrame(
            {
                "level": level,
                "actual_qty": actual,
                "is_covered": actual <= quantiles[index, whole] + 1e-6,
                "loss_qty": quantile_loss(actual, quantiles[index, whole], level=level),
            }
        )
        for index, level in enumerate(HORIZON_LEVELS)
    )


def _horizon_scores(totals: list[pl.DataFrame]) -> pl.DataFrame:
    if not totals:
        rates = dict.fromkeys(("level", "coverage_rate", "weighted_quantile_loss"), pl.Float64)
        return pl.DataFrame(schema={**rates, "series_windows_count": pl.Int64})
    sold = pl.when(pl.col("actual_qty").sum() > 0).then(pl.col("actual_qty").sum())
    return (
        pl.concat(totals)
        .group_by("level")
        .agg(
            pl.col("is_covered").mean().alias("coverage_rate"),
            (pl.col("loss_qty").sum() / sold).alias("weighted_quantile_loss"),
            pl.len().cast(pl.Int64).alias("series_windows_count"),
        )
        .sort("level")
    )
