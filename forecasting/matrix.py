"""A panel as matrices of periods by series, which is what vectorised models work on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

import numpy as np
import polars as pl

from forecasting.calendar_reading import ItemFacts, with_calendar
from forecasting.mending import mend_panel, period_numbers, series_numbers
from forecasting.schema import PERIOD_NAMES, SEASON_PERIODS, SERIES_KEY, BoolArray, FloatArray, Frequency, IntArray, check_frames


@dataclass(frozen=True, slots=True)
class SeriesMatrix:
    """All series on one calendar.

    Attributes:
        keys: sku, location_id; one row per series, sorted.
        frequency: What a period is.
        first_date: First day of period 0.
        demand: [period, series] in units; 0 where not observed.
        observed: [period, series]; false before a series starts, after it ends, and in censored periods.
        censored: [period, series]; true in censored periods.
        attributes: One row per series in the order of `keys`: the category columns that were given, "" where unknown.
        calendar: What is known ahead of days: demand_date, perhaps location_id or an attribute as keys, and columns of
            events (text), flags (true or false) and amounts (numbers).
        notes: Per series, what was done to its rows before they could stand here; None where nothing was.
        item_facts: What is known ahead of single items.
        calendar_left_out: Columns of the calendar that were not used, each with the reason.
    """

    keys: pl.DataFrame
    frequency: Frequency
    first_date: date
    demand: FloatArray
    observed: BoolArray
    censored: BoolArray
    attributes: pl.DataFrame
    calendar: pl.DataFrame | None
    notes: tuple[str | None, ...]
    item_facts: ItemFacts | None = None
    calendar_left_out: tuple[str, ...] = ()

    @property
    def periods_count(self) -> int:
        """Number of periods on the calendar."""
        return int(self.demand.shape[0])

    @property
    def season_length(self) -> int:
        """Periods after which the season begins anew: 7 days, 52 weeks or 12 months."""
        return SEASON_PERIODS[self.frequency]

    @property
    def period_name(self) -> str:
        """What a period is called: "day", "week" or "month"."""
        return PERIOD_NAMES[self.frequency]

    def date_of(self, period: int) -> date:
        """First day of a period; it may lie after the last one known."""
        if self.frequency == "monthly":
            years, month = divmod(self.first_date.month - 1 + period, 12)
            return self.first_date.replace(year=self.first_date.year + years, month=month + 1)
        return self.first_date + timedelta(days=period * (7 if self.frequency == "weekly" else 1))

    def dates(self, first: int, count: int) -> pl.Series:
        """First days of some periods, from period `first` on."""
        return pl.Series("demand_date", [self.date_of(period) for period in range(first, first + count)], dtype=pl.Date)

    def periods_at(self, dates: pl.Series) -> IntArray:
        """The number of the period that holds each date; below 0 before the first one."""
        if self.frequency == "monthly":
            months = (dates.dt.year().cast(pl.Int64) - self.first_date.year) * 12 + dates.dt.month() - self.first_date.month
            return months.to_numpy().astype(np.int64)
        days = (dates.cast(pl.Date) - self.first_date).dt.total_days()
        return (days // (7 if self.frequency == "weekly" else 1)).to_numpy().astype(np.int64)

    def seasons(self, first: int, count: int) -> IntArray:
        """Place of periods in their season, from period `first` on: weekday (0 is Monday), week of the year, or month."""
        dates = self.dates(first, count)
        if self.frequency == "daily":
            place = dates.dt.weekday().cast(pl.Int64) - 1
        elif self.frequency == "weekly":
            place = ((dates.dt.ordinal_day().cast(pl.Int64) - 1) // 7).clip(upper_bound=SEASON_PERIODS["weekly"] - 1)
        else:
            place = dates.dt.month().cast(pl.Int64) - 1
        return place.to_numpy().astype(np.int64)

    def pools(self, *columns: str) -> IntArray:
        """Per series, the number of its pool: series alike in these columns of `keys` and `attributes` share one.

        Columns that are not known are left out; without any left all series share pool 0.
        """
        facts = pl.concat([self.keys, self.attributes], how="horizontal")
        known = [name for name in columns if name in facts.columns]
        if not known:
            return np.zeros(self.keys.height, dtype=np.int64)
        return facts.select(pl.struct(known).rank("dense"))[known[0]].to_numpy().astype(np.int64) - 1

    def until(self, count: int) -> SeriesMatrix:
        """The first periods only: what was known then. The calendar stays whole, it is known ahead."""
        return dataclasses.replace(self, demand=self.demand[:count], observed=self.observed[:count], censored=self.censored[:count])

    def selling(self) -> tuple[SeriesMatrix, IntArray]:
        """Series that have sold, from the first period of any of them on, and their positions; all of them where none has.

        What never sold teaches nothing, neither by being there nor by having been there for long.
        """
        sold = self.demand.any(axis=0)
        rows = np.flatnonzero(sold if sold.any() else ~sold)
        if len(rows) == self.keys.height:
            return self, rows
        some = self.of(rows)
        return some._since(int((some.observed | some.censored).any(axis=1).argmax())), rows

    def _since(self, first: int) -> SeriesMatrix:
        facts = self.item_facts
        return dataclasses.replace(
            self,
            first_date=self.date_of(first),
            demand=self.demand[first:],
            observed=self.observed[first:],
            censored=self.censored[first:],
            item_facts=None if facts is None else dataclasses.replace(facts, period=facts.period - first),
        )

    def of(self, rows: IntArray) -> SeriesMatrix:
        """Some series only, in the order of `rows`."""
        return dataclasses.replace(
            self,
            keys=self.keys[rows],
            demand=self.demand[:, rows],
            observed=self.observed[:, rows],
            censored=self.censored[:, rows],
            attributes=self.attributes[rows] if self.attributes.width else self.attributes,
            notes=tuple(self.notes[row] for row in rows.tolist()),
            item_facts=None if self.item_facts is None else self.item_facts.of(rows, self.keys.height),
        )


def as_matrix(
    panel: pl.DataFrame,
    *,
    frequency: Frequency = "daily",
    attributes: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
) -> SeriesMatrix:
    """The panel on one calendar; the order of rows and columns does not matter, nor do further columns of the panel.

    Args:
        panel: sku, location_id, demand_date (first day of the period), demand_qty (units), is_censored.
        frequency: What a period is: "daily", "weekly" or "monthly".
        attributes: sku, location_id or both, and category columns for pools and the hierarchy; unknown ones are "".
        calendar: demand_date, perhaps keys, and what is known ahead.

    A panel with rows that are wrong is mended first (`forecasting.mending`); `notes` say what was done to which series.

    Raises:
        ValueError: A column is missing or of another kind, the panel is empty or of another frequency.
    """
    check_frames(panel=panel, attributes=attributes, calendar=calendar)
    mended, notes = mend_panel(panel, frequency=frequency)
    keys, series = series_numbers(mended)
    first = mended["demand_date"].min()
    number = period_numbers(mended["demand_date"], frequency)
    period = number - number.min()
    shape = (int(period.max()) + 1, keys.height)
    demand, observed, censored = np.zeros(shape), np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    is_censored = mended["is_censored"].to_numpy()
    demand[period, series] = np.where(is_censored, 0.0, mended["demand_qty"].to_numpy())
    observed[period, series] = ~is_censored
    censored[period, series] = is_censored
    said = keys.join(notes, on=SERIES_KEY, how="left", nulls_equal=True, maintain_order="left")["note"].to_list()
    known = _attributes(keys, attributes)
    matrix = SeriesMatrix(keys, frequency, cast("date", first), demand, observed, censored, known, None, tuple(said))
    return matrix if calendar is None else _with_calendar(matrix, calendar)


def _with_calendar(matrix: SeriesMatrix, calendar: pl.DataFrame) -> SeriesMatrix:
    """The calendar as series that have sold need it: how the others are keyed and when they began is no matter."""
    some, rows = matrix.selling()
    told = with_calendar(some, calendar)
    facts = told.item_facts
    if facts is not None:
        first = int(matrix.periods_at(pl.Series([some.first_date]))[0])
        facts = dataclasses.replace(facts, series=rows[facts.series], period=facts.period + first)
    return dataclasses.replace(matrix, calendar=told.calendar, item_facts=facts, calendar_left_out=told.calendar_left_out)


def _attributes(keys: pl.DataFrame, attributes: pl.DataFrame | None) -> pl.DataFrame:
    if attributes is None:
        return pl.DataFrame()
    on = [name for name in SERIES_KEY if name in attributes.columns]
    if not on:
        raise ValueError(f"attributes: lacks sku and location_id, has {', '.join(attributes.columns)}; name what its rows describe.")
    columns = [name for name in attributes.columns if name not in on]
    # keys of the panel may be texts, numbers or categories; those beside it are read as the same
    lookup = attributes.with_columns(pl.col(name).cast(pl.String).cast(keys.schema[name], strict=False) for name in on)
    known = keys.join(lookup.unique(on, keep="first", maintain_order=True), on=on, how="left", maintain_order="left")
    return known.select(pl.col(name).cast(pl.String).fill_null("") for name in columns)
