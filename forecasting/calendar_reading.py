"""A calendar as callers bring it, split into what it says of places and what it says of single items, without what says nothing.

Callers bring one row per day with events and flags, date parts beside them, or their whole sales table with prices joined to
it. Date parts and numbers of days teach nothing that season and trend do not know, and a text of its own for every day
would be fitted day by day; so they are left out here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import IntArray, PathArray

MOST_TEXTS: Final = 50  # texts of a column told apart; rarer ones count as one
WHOLE_RATE: Final = 0.9  # rows for so many of the items: then what is alike in all of them is no matter of the item
LEAST_VALUES: Final = 3  # two values are a flag, whatever their kind
DISCOUNTS: Final = ("discount", "markdown", "rebate")  # a number whose name has one of these, and no "price", is 0 where it has no row
PARTS: Final = (
    ("year", 0),
    ("quarter", 4),
    ("month", 12),
    ("week", 53),
    ("day", 31),
    ("ordinal_day", 366),
)  # and after how many they recur


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What a calendar says of single items; what has no row is no event, no flag, no discount, the item's mean amount.

    Attributes:
        series: Per row, the number of the series.
        period: Per row, the number of the period; below 0 before the panel.
        features: [row, feature]; NaN where a row does not know the amount.
        is_amount: Per feature, whether it has no zero to start from, such as a price.
    """

    series: IntArray
    period: IntArray
    features: PathArray
    is_amount: tuple[bool, ...]

    def of(self, rows: IntArray, count: int) -> ItemFacts:
        """Some of `count` series only, in the order of `rows`."""
        numbers = np.full(count, -1, dtype=np.int64)
        numbers[rows] = np.arange(len(rows))
        kept = np.flatnonzero(numbers[self.series] >= 0)
        return ItemFacts(numbers[self.series[kept]], self.period[kept], self.features[kept], self.is_amount)


def with_calendar(matrix: SeriesMatrix, calendar: pl.DataFrame | None) -> SeriesMatrix:
    """The matrix with what the calendar says of its periods, and which of its columns were left out, and why.

    Raises:
        ValueError: The calendar has no demand_date or one of another kind, or is keyed by what is known of no item.
    """
    if calendar is None:
        return matrix
    keys = [name for name in ("sku", "location_id", *matrix.attributes.columns) if name in calendar.columns]
    known = _checked(calendar.with_columns(pl.col(name).cast(pl.String) for name in keys))
    _check_keys(known, keys)
    nested = {name: "is nested" for name in calendar.columns if name not in known.columns}
    known = known.filter(pl.col("demand_date") >= matrix.first_date)
    if "sku" not in keys:
        places, idle = _telling(known, keys)
        return dataclasses.replace(matrix, calendar=places, calendar_left_out=_said(calendar, nested | idle))
    shared, items = _split(known, keys[1:], matrix)
    if shared is None:
        told, idle = None, {}
    else:
        told, idle = _telling(shared, keys[1:])
    silent = {name: why for name in items.columns if name not in {"demand_date", *keys} and (why := _says_nothing(items[name]))}
    facts = _item_facts(items.drop(silent), keys, matrix)
    return dataclasses.replace(matrix, calendar=told, item_facts=facts, calendar_left_out=_said(calendar, nested | idle | silent))


def features_of(calendar: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, tuple[bool, ...]]:
    """demand_date and keys, then one column of numbers per text, flag and amount; and per such column, whether it is an amount.

    Events are one column per text, flags 0 or 1 (so are numbers that are nothing else). Numbers that start from 0, as
    discounts do (`_starts_from_zero`), are over the mean of those that are not 0. All these are 0 where nothing is known. Amounts
    are the log over their mean or, where some are not positive, standard deviations from it; null where not known.
    """
    chosen: list[pl.Expr] = []
    is_amount: list[bool] = []
    for name in calendar.columns:
        column = calendar[name]
        if name in {"demand_date", *keys}:
            continue
        own, from_mean = [pl.col(name).cast(pl.Float64).fill_null(0.0)], False
        if not _is_flag(column):
            if not column.dtype.is_numeric():
                own = _events(column)
            elif _starts_from_zero(column):
                own = [own[0] / float(column.filter(column != 0).abs().mean() or 1.0)]  # type: ignore[arg-type]
            else:
                own, from_mean = [_amount(column)], True
        is_amount += [from_mean] * len(own)
        chosen += own
    return calendar.select("demand_date", *keys, *(own.alias(f"feature {number}") for number, own in enumerate(chosen))), tuple(is_amount)


def _is_flag(column: pl.Series) -> bool:
    return column.dtype == pl.Boolean or (column.dtype.is_numeric() and bool(((column == 0) | (column == 1)).all()))


def _starts_from_zero(column: pl.Series) -> bool:
    """Whether a number is 0 where it has no row: 0 is the least there is, or it is called a discount."""
    name = column.name.lower()
    return column.min() == 0 or ("price" not in name and any(word in name for word in DISCOUNTS))


def _checked(calendar: pl.DataFrame) -> pl.DataFrame:
    kind = calendar.schema.get("demand_date")
    if kind is None:
        raise ValueError(f"calendar: lacks demand_date, has {', '.join(calendar.columns)}; rename the column of days.")
    if kind not in (pl.Date, pl.Datetime):
        raise ValueError(f"calendar: demand_date is {kind} and has to be Date; cast the column.")
    nested = [name for name, kind in calendar.schema.items() if kind.is_nested()]
    numbers = [name for name, kind in calendar.schema.items() if kind.is_numeric()]
    floats = pl.col(numbers).cast(pl.Float64)
    known = calendar.drop(nested).with_columns(pl.col("demand_date").cast(pl.Date), pl.when(floats.is_finite()).then(floats))
    return known.filter(pl.col("demand_date").is_not_null())


def _check_keys(calendar: pl.DataFrame, keys: list[str]) -> None:
    """Days with a row for every value of a text speak of items that have this value, so which ones have it must be known.

    Raises:
        ValueError: It is not. Nothing was computed.
    """
    if "sku" in keys:
        return
    days = calendar.select("demand_date", *keys).n_unique()
    for name in calendar.columns:
        if name in {"demand_date", *keys} or calendar[name].dtype not in (pl.String, pl.Categorical, pl.Enum):
            continue
        is_apart = days < calendar.height == calendar.select("demand_date", *keys, name).n_unique()
        if name == "category" or (is_apart and calendar.height >= WHOLE_RATE * days * calendar[name].n_unique()):
            raise ValueError(
                f"calendar: has rows for each {name}, but attributes do not say which item has which; "
                f"pass attributes with sku and {name}, or rename or drop the column if it is no key."
            )


def _said(calendar: pl.DataFrame, reasons: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {reasons[name]}" for name in calendar.columns if name in reasons)


def _telling(calendar: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, dict[str, str]]:
    """Without columns that say nothing, or no more than which day it is; and why those are left out."""
    ordered = calendar.sort(*keys, "demand_date")
    dates, number = ordered["demand_date"], ordered.select(pl.struct(keys).rle_id()).to_series() if keys else None
    idle: dict[str, str] = {}
    for name in ordered.columns:
        if name in {"demand_date", *keys}:
            continue
        why = _says_nothing(ordered[name])
        if why or _only_tells_the_day(ordered[name], dates, group=number):
            idle[name] = why or "only tells which day it is"
    return ordered.drop(idle), idle


def _says_nothing(column: pl.Series) -> str | None:
    values = column.drop_nulls()
    if values.is_empty():
        return "has no value"
    if values.dtype.is_numeric() and values.n_unique() == 1 and not (values[0] == 1 or _starts_from_zero(column)):
        return "has one value only"
    return None


def _only_tells_the_day(column: pl.Series, dates: pl.Series, *, group: pl.Series | None) -> bool:
    values = column.drop_nulls()
    if values.n_unique() < LEAST_VALUES:
        return False
    if 2 * column.null_count() > len(column):
        return False  # on few days only: an event or the like
    if _depends_on(column, dates.dt.weekday()):
        return True
    if column.dtype.is_numeric():
        same = group is None or bool(group.n_unique() == 1)
        steps = (
            column.drop_nulls().diff()
            if same
            else pl.DataFrame({"group": group, "own": column}).select(pl.col("own").diff().over("group")).to_series()
        )
        return bool((steps.drop_nulls() >= 0).all()) or _is_part(column, dates)
    runs = pl.DataFrame({"date": dates, "own": column.cast(pl.String)}).unique().sort("date")["own"]
    return bool(runs.rle_id().max() == runs.n_unique() - 1) or _depends_on(column, dates.dt.month())


def _depends_on(column: pl.Series, part: pl.Series) -> bool:
    values = pl.DataFrame({"part": part, "own": column}).group_by("part").agg(pl.col("own").n_unique())
    return bool((values["own"] == 1).all())


def _is_part(column: pl.Series, dates: pl.Series) -> bool:
    """Whether numbers count years, months, weeks or days, from wherever they begin."""
    for part, cycle in PARTS:
        apart = column - getattr(dates.dt, part)().cast(pl.Float64)
        if (apart % cycle if cycle else apart).drop_nulls().n_unique() == 1:
            return True
    return False


def _split(calendar: pl.DataFrame, keys: list[str], matrix: SeriesMatrix) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """What is alike in all items of a day and place, once for each, and the rest."""
    place = np.zeros(calendar.height, dtype=np.int64)
    for name in ("demand_date", *keys):
        own = calendar[name].to_physical() if name == "demand_date" else calendar[name].cast(pl.Categorical).to_physical()
        codes = own.fill_null(0).to_numpy().astype(np.int64)
        codes -= codes.min(initial=0) if name != "demand_date" or not len(codes) else codes.min()
        place = place * (int(codes.max(initial=0)) + 1) + codes
    if len(place) and int(place.max()) > 10 * len(place) + 1_000_000:
        place = np.unique(place, return_inverse=True)[1].reshape(-1)
    example = np.full(int(place.max(initial=-1)) + 1, -1, dtype=np.int64)
    example[place] = np.arange(len(place))
    of_items = [name for name in calendar.columns if name not in {"demand_date", "sku", *keys}]
    facts = pl.concat([matrix.keys, matrix.attributes], how="horizontal").select("sku", *keys).unique()
    usual = facts.height / (facts.select(keys).unique().height if keys else 1)
    if len(place) < WHOLE_RATE * usual * np.count_nonzero(example >= 0):
        return None, calendar
    alike: list[str] = []
    for name in of_items:
        codes = calendar[name].hash().to_numpy()
        if (codes[example[place]] == codes).all():
            alike.append(name)
    chosen = calendar.select("demand_date", *keys, *alike)[example[example >= 0]]
    return (chosen if alike else None), calendar.drop(alike)


def _item_facts(calendar: pl.DataFrame, keys: list[str], matrix: SeriesMatrix) -> ItemFacts | None:
    if not set(calendar.columns) - {"demand_date", *keys}:
        return None
    facts = pl.concat([matrix.keys, matrix.attributes], how="horizontal").select(pl.col(keys).cast(pl.String)).with_row_index("series")
    values, is_amount = features_of(calendar, keys)
    names = [name for name in values.columns if name.startswith("feature ")]
    placed = values.with_columns(pl.Series("period", matrix.periods_at(values["demand_date"])), pl.col(names).cast(pl.Float32))
    rows = placed.join(facts, on=keys).drop(keys)
    from_mean = [name for name, amount in zip(names, is_amount, strict=True) if amount]
    from_zero = [name for name in names if name not in from_mean]
    # a row that says "no" says what no row says
    rows = _once_a_period(rows, from_mean, from_zero, matrix).filter(
        pl.any_horizontal(*(pl.col(name) != 0 for name in from_zero), *(pl.col(name).is_not_null() for name in from_mean))
    )
    if rows.is_empty():
        return None
    return ItemFacts(
        rows["series"].to_numpy().astype(np.int64), rows["period"].to_numpy().astype(np.int64), rows.select(names).to_numpy(), is_amount
    )


def _once_a_period(rows: pl.DataFrame, from_mean: list[str], from_zero: list[str], matrix: SeriesMatrix) -> pl.DataFrame:
    """One row per series and period: the mean of amounts; of all else the most of a day, and of weeks and months the mean over days."""
    place = rows["series"].to_numpy().astype(np.int64) * (int(rows["period"].max() or 0) + 1) + rows["period"].to_numpy()  # type: ignore[arg-type]
    starts = rows["demand_date"].unique() if matrix.frequency != "daily" else rows["demand_date"].clear()
    numbers = matrix.periods_at(starts).tolist()
    is_by_day = starts.to_list() != [matrix.date_of(number) for number in numbers]
    if not is_by_day and (not len(place) or int(np.bincount(place).max()) <= 1):
        return rows.drop("demand_date")
    by_day = rows.group_by("series", "period", "demand_date", maintain_order=True).agg(pl.col(from_mean).mean(), pl.col(from_zero).max())
    if not is_by_day:
        return by_day.drop("demand_date")
    days = {number: (matrix.date_of(number + 1) - matrix.date_of(number)).days for number in set(numbers)}
    length = pl.col("period").replace_strict(days, return_dtype=pl.Float64)
    sums = by_day.group_by("series", "period", maintain_order=True).agg(pl.col(from_mean).mean(), pl.col(from_zero).sum())
    return sums.with_columns(pl.col(from_zero) / length)


def _events(column: pl.Series) -> list[pl.Expr]:
    text = pl.col(column.name).cast(pl.String)
    counts = column.cast(pl.String).drop_nulls().value_counts(name="rows").sort("rows", column.name, descending=[True, False])
    names = counts[column.name]
    told, rare = names[:MOST_TEXTS].sort().to_list(), names[MOST_TEXTS:].to_list()
    events = [(text == name).fill_null(False).cast(pl.Float64) for name in told]
    return [*events, text.is_in(rare).fill_null(False).cast(pl.Float64)] if rare else events


def _amount(column: pl.Series) -> pl.Expr:
    values = pl.col(column.name).cast(pl.Float64)
    least = column.cast(pl.Float64).min()
    if isinstance(least, float) and least > 0:
        logs = values.log()
        return logs - logs.mean()
    spread = values.std()
    return pl.when(spread > 0).then((values - values.mean()) / spread).otherwise(0.0 * values)
