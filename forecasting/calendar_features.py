"""What a calendar says of each period as numbers: columns of a regression, with how far each may be expected to move demand."""

from __future__ import annotations

import calendar as months
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.calendar_reading import features_of
from forecasting.schema import CYCLE_PERIODS

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray, IntArray

WEEKDAY_SPREAD: Final = 0.5  # standard deviations of effects on the log of demand, before any data
MONTH_DAY_SPREAD: Final = 0.1
YEAR_SPREAD: Final = 0.3
CALENDAR_SPREAD: Final = 0.2
TREND_SPREAD: Final = 1.0  # per year and piece
MONTH_WAVES: Final = 3
YEAR_WAVES: Final = 6
TREND_PIECE_DAYS: Final = 28


def season_design(matrix: SeriesMatrix, first: int, count: int, *, is_yearly: bool) -> tuple[FloatArray, FloatArray]:
    """Weekday and waves over the month (daily), waves over the year where asked for.

    Returns:
        [period, feature], and the spread per feature.
    """
    dates = matrix.dates(first, count).to_list()
    columns: list[FloatArray] = []
    spreads: list[float] = []
    if matrix.frequency == "daily":
        weekdays = matrix.seasons(first, count)
        columns += [(weekdays == day) - 1.0 / 7.0 for day in range(7)]
        spreads += [WEEKDAY_SPREAD] * 7
        share = np.array([(day.day - 1) / months.monthrange(day.year, day.month)[1] for day in dates])
        columns += _waves(share, MONTH_WAVES)
        spreads += [MONTH_DAY_SPREAD] * 2 * MONTH_WAVES
    if is_yearly:
        middle = {"daily": 0, "weekly": 3, "monthly": 15}[matrix.frequency]
        share = np.array([(day.timetuple().tm_yday - 1 + middle) / 365.25 for day in dates])
        waves = YEAR_WAVES - (matrix.frequency == "monthly")
        columns += _waves(share, waves)
        spreads += [YEAR_SPREAD / wave for wave in range(1, waves + 1) for _ in range(2)]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0)), np.array(spreads)


def trend_design(matrix: SeriesMatrix, *, is_yearly: bool) -> tuple[FloatArray, FloatArray]:
    """Intercept and a line that may bend every four weeks (every half year beside yearly waves); the past only."""
    year = CYCLE_PERIODS[matrix.frequency]
    piece = year // 2 if is_yearly else max(1, TREND_PIECE_DAYS * year // CYCLE_PERIODS["daily"])
    time = np.arange(matrix.periods_count, dtype=np.float64)
    bends = np.arange(matrix.periods_count - 1 - piece, piece // 2, -piece)
    columns = [np.ones_like(time), (time - time[-1]) / year, *(np.maximum(time - bend, 0.0) / year for bend in bends)]
    return np.stack(columns, axis=1), np.array([1e3] + [TREND_SPREAD] * (len(columns) - 1))


def calendar_keys(matrix: SeriesMatrix) -> list[str]:
    """Columns by which the calendar tells series apart, but for the item's."""
    if matrix.calendar is None:
        return []
    known = ["location_id", *matrix.attributes.columns]
    return [name for name in matrix.calendar.columns if name in known]


def calendar_design(matrix: SeriesMatrix, first: int, count: int) -> tuple[FloatArray, FloatArray, IntArray]:
    """Events, flags and amounts (`features_of`) of what the calendar says of places.

    A row of the calendar speaks of the period that holds its day; a period's value is the mean of its rows. What no row
    speaks of is no event, no flag, the mean amount.

    Returns:
        [group of series, period, feature], the spread per feature, and the group of each series.
    """
    keys = calendar_keys(matrix)
    groups = matrix.pools(*keys) if keys else np.zeros(matrix.keys.height, dtype=np.int64)
    groups_count = int(groups.max()) + 1
    if matrix.calendar is None:
        return np.zeros((groups_count, count, 0)), np.zeros(0), groups
    facts = pl.concat([matrix.keys, matrix.attributes], how="horizontal")
    names = facts.select(pl.col(keys).cast(pl.String), pl.Series("row", groups)).unique()
    values, _ = features_of(matrix.calendar, keys)
    placed = values.with_columns(pl.Series("period", matrix.periods_at(values["demand_date"])))
    placed = placed.with_columns(pl.col(name).cast(pl.String) for name in keys)
    placed = placed.join(names, on=keys) if keys else placed.with_columns(pl.lit(0, dtype=pl.Int64).alias("row"))
    columns = [name for name in values.columns if name not in {"demand_date", *keys}]
    if not columns:  # the calendar says nothing of any day: all its columns are empty
        return np.zeros((groups_count, count, 0)), np.zeros(0), groups
    wanted = placed.filter(pl.col("period").is_between(first, first + count - 1))
    means = wanted.group_by("row", "period").agg(pl.col(columns).fill_null(0.0).mean())
    design = np.zeros((groups_count, count, len(columns)))
    design[means["row"].to_numpy(), means["period"].to_numpy() - first] = means.select(columns).to_numpy()
    return design, np.full(len(columns), CALENDAR_SPREAD), groups


def item_design(matrix: SeriesMatrix, first: int, count: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The same of what the calendar says of single items, amounts less their series' mean over the past; 0 where not known.

    Returns:
        Series, period (from `first` on), and [row, feature]. What has no row is 0 in all features.
    """
    facts = matrix.item_facts
    if facts is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.zeros((0, 0))
    is_wanted = (facts.period >= first) & (facts.period < first + count)
    series, features = facts.series[is_wanted], facts.features[is_wanted].astype(np.float64)
    is_past, rows = (facts.period >= 0) & (facts.period < matrix.periods_count), matrix.keys.height
    for number in np.flatnonzero(facts.is_amount):
        amounts = facts.features[:, number]
        is_known = is_past & np.isfinite(amounts)
        counts = np.bincount(facts.series, weights=is_known, minlength=rows)
        sums = np.bincount(facts.series, weights=np.where(is_known, amounts, 0.0), minlength=rows)
        means = np.divide(sums, counts, out=np.full(rows, np.nan), where=counts > 0)
        features[:, number] = np.nan_to_num(features[:, number] - means[series])
    return series, facts.period[is_wanted] - first, features


def _waves(share: FloatArray, count: int) -> list[FloatArray]:
    return [wave(2.0 * np.pi * number * share) for number in range(1, count + 1) for wave in (np.cos, np.sin)]
