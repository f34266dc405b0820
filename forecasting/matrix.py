"""A panel as matrices of days by series, which is what vectorised models work on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from forecasting.schema import PANEL_COLUMNS, SEASON_DAYS, SERIES_KEY, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class SeriesMatrix:
    """All series on one calendar.

    Attributes:
        keys: sku, location_id; one row per series, sorted.
        first_date: Day of row 0.
        demand: [day, series] in units; 0 where not observed.
        observed: [day, series]; false before a series starts, after it ends, and on censored days.
        censored: [day, series]; true on censored days.
        groups: Per series, the pool of its weekday profile: location x category, and the wider one: location.
    """

    keys: pl.DataFrame
    first_date: date
    demand: FloatArray
    observed: BoolArray
    censored: BoolArray
    groups: IntArray
    parent_groups: IntArray

    @property
    def days_count(self) -> int:
        """Number of days on the calendar."""
        return int(self.demand.shape[0])

    def date_of(self, day: int) -> date:
        """The date of a row."""
        return self.first_date + timedelta(days=day)

    def weekdays(self, first_day: int, days_count: int) -> IntArray:
        """Weekday of rows from `first_day` on, 0 for Monday; rows may lie after the last one known."""
        return (np.arange(first_day, first_day + days_count, dtype=np.int64) + self.first_date.weekday()) % SEASON_DAYS

    def until(self, days_count: int) -> SeriesMatrix:
        """The first days only: what was known then."""
        return dataclasses.replace(
            self, demand=self.demand[:days_count], observed=self.observed[:days_count], censored=self.censored[:days_count]
        )


def as_matrix(panel: pl.DataFrame, *, attributes: pl.DataFrame | None = None) -> SeriesMatrix:
    """The panel on one calendar; the order of its rows does not matter.

    Args:
        panel: sku, location_id, demand_date, demand_qty (units), is_censored.
        attributes: sku, category and perhaps location_id; series without a category share one.

    Raises:
        ValueError: A column is missing, the panel is empty, a quantity is negative or not a number, a day is twice in a
            series or missing inside it.
    """
    _check_columns(panel)
    ordered = panel.select(PANEL_COLUMNS).sort(*SERIES_KEY, "demand_date")
    keys = ordered.select(SERIES_KEY).unique(maintain_order=True)
    lengths = ordered.group_by(SERIES_KEY, maintain_order=True).len()["len"].to_numpy()
    series = np.repeat(np.arange(keys.height), lengths)
    first = ordered["demand_date"].min()
    last = ordered["demand_date"].max()
    if not isinstance(first, date) or not isinstance(last, date):
        raise TypeError("demand_date: has to hold dates; cast the column to pl.Date.")
    day = (ordered["demand_date"] - first).dt.total_days().to_numpy()
    _check_calendar(ordered, series, day)
    shape = ((last - first).days + 1, keys.height)
    demand, observed, censored = np.zeros(shape), np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    is_censored = ordered["is_censored"].to_numpy()
    demand[day, series] = np.where(is_censored, 0.0, ordered["demand_qty"].cast(pl.Float64).to_numpy())
    observed[day, series] = ~is_censored
    censored[day, series] = is_censored
    groups, parents = _pools(keys, attributes)
    return SeriesMatrix(keys, first, demand, observed, censored, groups, parents)


def _check_columns(panel: pl.DataFrame) -> None:
    missing = [name for name in PANEL_COLUMNS if name not in panel.columns]
    if missing:
        raise ValueError(f"panel: lacks {', '.join(missing)}, has {', '.join(panel.columns)}; build it with build_daily_panel.")
    if panel.is_empty():
        raise ValueError("panel: has no rows, so there is nothing to forecast; select series that have sold.")
    empty = {name: panel[name].null_count() for name in PANEL_COLUMNS if panel[name].null_count()}
    if empty:
        counts = ", ".join(f"{name} is null in {count} rows" for name, count in empty.items())
        raise ValueError(f"panel: {counts} of {panel.height}; fill or drop them.")
    quantity = pl.col("demand_qty").cast(pl.Float64)
    bad = panel.filter(~quantity.is_finite() | (quantity < 0))
    if not bad.is_empty():
        raise ValueError(
            f"panel: demand_qty is negative or not a number in {bad.height} of {panel.height} rows, "
            f"the first one {bad.row(0, named=True)!r}; returns are not negative demand, leave them out."
        )


def _check_calendar(ordered: pl.DataFrame, series: IntArray, day: IntArray) -> None:
    same_series = series[1:] == series[:-1]
    step = np.diff(day)
    for wrong, what in ((same_series & (step == 0), "stands twice"), (same_series & (step > 1), "has a gap before it")):
        if wrong.any():
            example = ordered.row(int(np.flatnonzero(wrong)[0]) + 1, named=True)
            raise ValueError(
                f"panel: a day {what} in its series in {int(wrong.sum())} of {ordered.height} rows, first for sku {example['sku']!r} at "
                f"{example['location_id']!r} on {example['demand_date']}; build the panel with build_daily_panel."
            )


def _pools(keys: pl.DataFrame, attributes: pl.DataFrame | None) -> tuple[IntArray, IntArray]:
    pooled = keys.with_columns(pl.lit("").alias("category"))
    if attributes is not None and "category" in attributes.columns:
        on = [name for name in SERIES_KEY if name in attributes.columns]
        lookup = attributes.select(*on, "category").unique(on, keep="first", maintain_order=True)
        pooled = keys.join(lookup, on=on, how="left", maintain_order="left").with_columns(pl.col("category").fill_null(""))
    parents = pooled["location_id"].rank("dense").to_numpy().astype(np.int64) - 1
    groups = pooled.select(pl.struct("location_id", "category").rank("dense"))["location_id"].to_numpy().astype(np.int64) - 1
    return groups, parents
