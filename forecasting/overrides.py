"""What a person expects instead of the forecast: a mean per day, around which demand strays as it does around the forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import SERIES_KEY

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import FloatArray, PathArray

ABSOLUTE: Final = "absolute"
FACTOR: Final = "factor"
_DAY: Final = [*SERIES_KEY, "demand_date"]


def overrides_by_day(overrides: pl.DataFrame, *, first: date, days: int) -> pl.DataFrame:
    """What holds on each of the coming days: of overrides of one day the newest.

    Args:
        overrides: override_id, sku, location_id, from_date, to_date, kind ("absolute" or "factor"), value (units a day, or a
            multiple of the forecast), created_at.
        first: First day that is asked for.
        days: Number of days.

    Returns:
        sku, location_id, demand_date, override_id, kind, value; sorted by series and day, unique on the first three.
    """
    last = first + timedelta(days=days - 1)
    return (
        overrides.filter((pl.col("to_date") >= first) & (pl.col("from_date") <= last))
        .with_columns(
            pl.date_ranges(pl.max_horizontal("from_date", pl.lit(first)), pl.min_horizontal("to_date", pl.lit(last))).alias("demand_date")
        )
        .explode("demand_date")
        .sort("created_at", "override_id")
        .unique(_DAY, keep="last")
        .select(*_DAY, "override_id", "kind", "value")
        .sort(_DAY)
    )


def override_forecast(frame: pl.DataFrame, by_day: pl.DataFrame) -> pl.DataFrame:
    """The forecast with the overrides in it, and the statistical mean beside it.

    Quantiles move with the mean, and their distance from it by the root of the ratio: an override raises demand as a good weekday
    does, and errors of the models here have a variance in proportion to the mean.

    Args:
        frame: sku, location_id, demand_date, demand_mean_qty and any demand_pNN_qty (units per day).
        by_day: From `overrides_by_day`.

    Returns:
        The frame in its order, its quantities as overridden, with statistical_mean_qty and override_id (null where none holds).
    """
    mean, value = pl.col("demand_mean_qty"), pl.col("value")
    used = pl.when(pl.col("kind") == FACTOR).then(value * mean).otherwise(value)
    stretch = pl.when(mean > 0).then((pl.col("used") / mean).sqrt()).otherwise(0.0)
    quantiles = [name for name in frame.columns if name.startswith("demand_p") and name.endswith("_qty")]
    holds = pl.col("override_id").is_not_null() & mean.is_not_null()
    return (
        frame.join(by_day, on=_DAY, how="left", maintain_order="left")
        .with_columns(pl.when(holds).then(used).otherwise(mean).alias("used"), pl.when(holds).then("override_id").alias("override_id"))
        .with_columns(
            *(
                pl.when(holds)
                .then(pl.max_horizontal(pl.col("used") + stretch * (pl.col(name) - mean), pl.lit(0.0)))
                .otherwise(name)
                .alias(name)
                for name in quantiles
            ),
            mean.alias("statistical_mean_qty"),
            pl.col("used").alias("demand_mean_qty"),
        )
        .drop("used", "kind", "value")
    )


def override_paths(paths: PathArray, *, factor: FloatArray, absolute: FloatArray) -> PathArray:
    """Simulated demand of one series with the overrides in it; their mean per day is exactly what was asked for.

    A path keeps its distance from the mean, stretched by the root of the ratio (see `override_forecast`). Where no path holds any
    demand there is no distance to keep, and every path holds the mean.

    Args:
        paths: [path, period]; units per period.
        factor: [period]; multiple of the forecast, NaN where none holds.
        absolute: [period]; units per period, NaN where none holds.
    """
    mean = paths.mean(axis=0, dtype=np.float64)
    used = np.where(np.isfinite(absolute), absolute, np.where(np.isfinite(factor), factor * mean, mean))
    changed = np.flatnonzero(np.isfinite(absolute) | np.isfinite(factor))
    before, wanted = mean[changed], used[changed]
    stretch = np.sqrt(np.divide(wanted, before, out=np.zeros_like(wanted), where=before > 0))
    moved = np.maximum(wanted + stretch * (paths[:, changed] - before), 0.0)
    cut = moved.mean(axis=0)
    result = paths.copy()
    result[:, changed] = moved * np.divide(wanted, cut, out=np.ones_like(wanted), where=cut > 0)
    return result
