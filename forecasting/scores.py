"""How good forecasts were. Ratios of sums; censored days are no evidence either way and never counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY, FloatArray

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix


def mase_scale(matrix: SeriesMatrix, differences: FloatArray) -> pl.DataFrame:
    """Mean absolute error of in-sample seasonal naive per series; null where it is zero or unknown.

    Source: Hyndman and Koehler (2006), Another look at measures of forecast accuracy.
    """
    known = np.isfinite(differences)
    mean = np.where(known, np.abs(differences), 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return matrix.keys.with_columns(pl.Series("mase_scale", np.where(mean > 0, mean, np.nan)).fill_nan(None))


def score_series(frame: pl.DataFrame, scale: pl.DataFrame) -> pl.DataFrame:
    """One row per series and model.

    Args:
        frame: `Backtest.frame`.
        scale: sku, location_id, mase_scale (units per day).

    Returns:
        sku, location_id, model, windows_count, days_count, actual_qty, error_qty, absolute_error_qty, in_band_count,
        wape_rate (sum of absolute errors over sum of actuals), mase, bias_rate (sum of forecast - actual over sum of
        actuals), band_coverage_rate (share of days between p10 and p90); a rate over nothing is null.
    """
    sums = _sums(_scored(frame), [*SERIES_KEY, "model"]).join(scale, on=SERIES_KEY, how="left")
    mase = pl.col("absolute_error_qty") / pl.col("days_count") / pl.col("mase_scale")
    return _with_rates(sums).with_columns(mase.alias("mase")).drop("mase_scale").sort(*SERIES_KEY, "model")


def score_models(frame: pl.DataFrame, series_scores: pl.DataFrame) -> pl.DataFrame:
    """One row per model over all series; `mase` is the mean over series, the rest are ratios of sums.

    Args:
        frame: `Backtest.frame`.
        series_scores: From `score_series`.
    """
    sums = _sums(_scored(frame), ["model"])
    mase = series_scores.group_by("model").agg(pl.col("mase").mean(), pl.len().alias("series_count"))
    return _with_rates(sums).join(mase, on="model").sort("model")


def quantile_loss(actual: FloatArray, quantile: FloatArray, *, level: float) -> FloatArray:
    """Pinball loss, twice: 2 (a - q)(level) above the quantile, 2 (q - a)(1 - level) below it; in units of demand.

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, section 6.
    """
    return 2.0 * np.maximum(level * (actual - quantile), (level - 1.0) * (actual - quantile))


def _scored(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_censored") & pl.col("forecast_qty").is_not_null())


def _sums(scored: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    error = pl.col("forecast_qty") - pl.col("actual_qty")
    return scored.group_by(by).agg(
        pl.col("cutoff_date").n_unique().cast(pl.Int64).alias("windows_count"),
        pl.len().cast(pl.Int64).alias("days_count"),
        pl.col("actual_qty").sum(),
        error.sum().alias("error_qty"),
        error.abs().sum().alias("absolute_error_qty"),
        pl.col("actual_qty").is_between("forecast_p10_qty", "forecast_p90_qty").sum().cast(pl.Int64).alias("in_band_count"),
    )


def _with_rates(sums: pl.DataFrame) -> pl.DataFrame:
    sold = pl.when(pl.col("actual_qty") > 0).then(pl.col("actual_qty"))
    return sums.with_columns(
        (pl.col("absolute_error_qty") / sold).alias("wape_rate"),
        (pl.col("error_qty") / sold).alias("bias_rate"),
        (pl.col("in_band_count") / pl.col("days_count")).alias("band_coverage_rate"),
    )
