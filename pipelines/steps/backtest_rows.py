"""What a backtest found as the rows that releases keep: by series, class, day ahead, week and cut-off, and of sums over the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.schema import SEASONAL_NAIVE, SERIES_KEY
from forecasting.scores import RATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecasting.schema import Backtest

MODEL: Final = "auto"  # the one whose forecasts are published, held against seasonal naive
DAYS_OF_WEEK: Final = 7

_NAIVE: Final = ("wape_rate", "mase", "bias_rate")
SERIES_SCORES: Final = {
    **dict.fromkeys(SERIES_KEY, pl.String), "windows_count": pl.Int64, "horizon_days": pl.Int64, "actual_qty": pl.Float64,
    **dict.fromkeys(RATES, pl.Float64), **dict.fromkeys((f"naive_{name}" for name in _NAIVE), pl.Float64),
}  # fmt: skip
CLASS_SCORES: Final = {
    **dict.fromkeys(("class_kind", "class_name", "model"), pl.String), "series_count": pl.Int64, "actual_qty": pl.Float64,
    **dict.fromkeys(RATES, pl.Float64),
}  # fmt: skip
STEP_SCORES: Final = {
    "model": pl.String, "step": pl.Int64, "actual_qty": pl.Float64,
    **{name: pl.Float64 for name in RATES if name != "cumulative_bias_rate"},
}  # fmt: skip
HORIZON_SCORES: Final = {
    "level": pl.Float64, "coverage_rate": pl.Float64, "weighted_quantile_loss": pl.Float64, "series_windows_count": pl.Int64
}  # fmt: skip


def series_rows(evidence: Backtest, *, horizon_days: int) -> pl.DataFrame:
    """`SERIES_SCORES`: one row per series, and first one over all, whose key is null; scores of the model beside those of naive."""
    over_all = evidence.scores.filter(pl.col("class_kind") == "all").with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in SERIES_KEY
    )
    rows = [_side_by_side(scores, horizon_days) for scores in (over_all, evidence.series_scores)]
    return pl.concat(rows).sort(SERIES_KEY, nulls_last=False, maintain_order=True)


def class_rows(evidence: Backtest) -> pl.DataFrame:
    """`CLASS_SCORES`: one row per class and model, first those over all series."""
    return _as(evidence.scores, CLASS_SCORES)


def step_rows(evidence: Backtest) -> pl.DataFrame:
    """`STEP_SCORES`: one row per model and day ahead."""
    return _as(evidence.step_scores, STEP_SCORES)


def horizon_rows(evidence: Backtest) -> pl.DataFrame:
    """`HORIZON_SCORES`: one row per probability level of demand summed over the horizon."""
    return _as(evidence.horizon_scores, HORIZON_SCORES)


def weekly_errors(evidence: Backtest) -> pl.DataFrame:
    """Sums of errors per cut-off, week ahead and series: what forecast metrics are ratios of.

    Days without stock are no evidence and left out. `scaled_error` is the sum of absolute errors over the series' in-sample error of
    seasonal naive, as MASE scales them, over `scaled_days_count` days. What is compared with naive are the days that naive has a
    forecast for.
    """
    keys = ["cutoff_date", "week_ahead", *SERIES_KEY]
    own, naive = pl.col("error").abs(), pl.col("naive_error").abs()
    weeks = (
        _daily_errors(evidence)
        .group_by(keys)
        .agg(
            pl.col("demand_date").max().alias("until_date"),
            pl.col("model").first(),
            pl.len().cast(pl.Int64).alias("days_count"),
            pl.col("actual_qty").sum(),
            pl.col("error").sum().alias("error_qty"),
            own.sum().alias("absolute_error_qty"),
            pl.col("is_in_band").sum().cast(pl.Int64).alias("in_band_days_count"),
            own.filter(pl.col("naive_error").is_not_null()).sum().alias("compared_absolute_error_qty"),
            naive.sum().alias("naive_absolute_error_qty"),
        )
    )
    scale = evidence.series_scores.filter((pl.col("model") == MODEL) & (pl.col("mase") > 0)).select(
        *SERIES_KEY, (pl.col("absolute_error_qty") / pl.col("periods_count") / pl.col("mase")).alias("scale")
    )
    return (
        weeks.join(scale, on=SERIES_KEY, how="left")
        .with_columns(
            (pl.col("absolute_error_qty") / pl.col("scale")).alias("scaled_error"),
            pl.when(pl.col("scale").is_not_null()).then("days_count").otherwise(0).alias("scaled_days_count"),
        )
        .drop("scale")
        .sort(keys)
    )


def _daily_errors(evidence: Backtest) -> pl.DataFrame:
    """The model's rows of days in stock, with `error`, `naive_error` (null where naive says nothing), `is_in_band` and `week_ahead`."""
    day = ["cutoff_date", "demand_date", *SERIES_KEY]
    error = pl.col("forecast_qty") - pl.col("actual_qty")
    known = evidence.frame.with_columns(pl.col(pl.Float32).cast(pl.Float64)).filter(
        ~pl.col("is_censored") & pl.col("forecast_qty").is_not_null()
    )
    naive = known.filter(pl.col("model") == SEASONAL_NAIVE).select(*day, error.alias("naive_error"))
    days_ahead = (pl.col("demand_date") - pl.col("cutoff_date")).dt.total_days()
    return (
        known.filter(pl.col("model") == MODEL)
        .with_columns(
            error.alias("error"),
            pl.col("actual_qty").is_between("forecast_p10_qty", "forecast_p90_qty").alias("is_in_band"),
            ((days_ahead - 1).floordiv(DAYS_OF_WEEK) + 1).cast(pl.Int64).alias("week_ahead"),
        )
        .join(naive, on=day, how="left")
    )


def _side_by_side(scores: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    naive = scores.filter(pl.col("model") == SEASONAL_NAIVE).select(*SERIES_KEY, *(pl.col(name).alias(f"naive_{name}") for name in _NAIVE))
    own = scores.filter(pl.col("model") == MODEL).with_columns(pl.lit(horizon_days).alias("horizon_days"))
    return _as(own.join(naive, on=SERIES_KEY, how="left", nulls_equal=True), SERIES_SCORES)


def _as(frame: pl.DataFrame, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())
