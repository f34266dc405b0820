"""Panels as they should be, with what had to be done to each series: bad rows are data with a defined result, not the end of a run.

What is unknown becomes a censored period, never a zero: a missing row may be a day without a sale or a file that was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import numpy as np
import polars as pl

from forecasting.schema import CYCLE_PERIODS, PANEL_COLUMNS, PERIOD_NAMES, SEASON_PERIODS, SERIES_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import BoolArray, Frequency, IntArray

_STEPS: Final[Mapping[Frequency, str]] = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}
LEAST_REACH: Final = 0.01  # of the series; fewer with rows beyond an empty year are no later demand but wrong dates
LEAST_QTY: Final = 1e-9  # units; what is less, on either side of zero, is the rounding of a sum and counts as nothing
_LONGEST_PERIOD_DAYS: Final = 31
# what a count of rows or periods means for a series, in the order it is said
_NOTES: Final[Mapping[str, str]] = {
    "no_key": "{} rows lack sku or location_id: they belong to no series",
    "no_date": "{} rows lack a date: left out",
    "stray": "{} rows lie more than a year from nearly all others: left out",
    "moved": "{} rows are not on a {period}'s first day: counted in the {period} they lie in",
    "twice": "{} rows repeat a {period}: added up",
    "gaps": "{} {period}s are missing: unknown (pass zeros where nothing was sold)",
    "no_qty": "{} quantities are missing or not finite: unknown",
    "negative": "{} quantities are below zero: unknown, returns are not negative demand",
    "no_mark": "{} rows lack is_censored: taken as in stock",
}


def mend_panel(panel: pl.DataFrame, *, frequency: Frequency) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per series and period without gaps, quantities of zero or more, nothing null but a key.

    Args:
        panel: sku, location_id, demand_date (a date in the period), demand_qty (units), is_censored; rows in any order.
        frequency: What a period is. Weeks start on the weekday that most rows carry, months on the 1st.

    Returns:
        The panel with columns in this order, sorted by series and date; and sku, location_id, note (what was done and
        how often) for series it was done to. Rows without a key stay together as a series that is wholly censored.

    Raises:
        ValueError: A column is missing or of another kind, no row has a date, or most dates are no period's first day,
            so that the panel is of another frequency. Nothing was computed.
    """
    _check_columns(panel)
    # the order of categories is their owner's affair, ours is that of their texts
    texts = [name for name in SERIES_KEY if panel.schema[name] in (pl.Categorical, pl.Enum)]
    qty = pl.col("demand_qty").cast(pl.Float64)
    rows = panel.select(PANEL_COLUMNS).with_columns(
        pl.col(texts).cast(pl.String),
        pl.col("demand_date").cast(pl.Date),
        demand_qty=pl.when(qty.abs() < LEAST_QTY).then(0.0).otherwise(qty),
    )
    starts = _without_strays(rows, _period_starts(rows["demand_date"], frequency), frequency)
    is_wrong = _wrong_rows(rows, starts)
    ordered, wrong_series = _ordered(rows, starts, is_wrong, frequency)
    if wrong_series is None:
        return ordered, _no_notes(ordered)
    mended, notes = _mended(rows.filter(wrong_series), starts.filter(wrong_series), frequency)
    whole = pl.concat([rows.filter(~wrong_series), mended])
    return _ordered(whole, whole["demand_date"], None, frequency)[0], notes


def series_numbers(panel: pl.DataFrame) -> tuple[pl.DataFrame, IntArray]:
    """sku, location_id of all series, sorted, and per row the number of its series."""
    runs = panel.select(pl.struct(SERIES_KEY).rle_id().alias("run")).to_series().to_numpy()
    firsts = panel.select(SERIES_KEY)[np.flatnonzero(np.diff(runs, prepend=-1))] if len(runs) else panel.select(SERIES_KEY)
    keys = firsts.unique().sort(SERIES_KEY)
    numbered = firsts.join(keys.with_row_index("series"), on=SERIES_KEY, how="left", nulls_equal=True, maintain_order="left")
    return keys, numbered["series"].to_numpy().astype(np.int64)[runs]


def period_numbers(starts: pl.Series, frequency: Frequency) -> IntArray:
    """Number of the period that begins on each date, counted from a fixed one."""
    if frequency == "monthly":
        return (starts.dt.year().cast(pl.Int64) * 12 + starts.dt.month()).to_numpy().astype(np.int64)
    return starts.to_physical().to_numpy().astype(np.int64) // (7 if frequency == "weekly" else 1)


def series_notes(matrix: SeriesMatrix) -> list[str | None]:
    """What makes a series unusual and its forecast a plain one, from what the matrix holds; None where there is nothing to say."""
    exists, counts = matrix.observed | matrix.censored, matrix.observed.sum(axis=0)
    lowest = np.where(matrix.observed, matrix.demand, np.inf).min(axis=0)
    highest = matrix.demand.max(axis=0)
    last = matrix.periods_count - 1 - exists[::-1].argmax(axis=0)
    notes: list[str | None] = list(matrix.notes)

    def say(where: BoolArray, sentence: Callable[[int], str]) -> None:
        for row in np.flatnonzero(where).tolist():
            notes[row] = "; ".join(filter(None, (notes[row], sentence(row))))

    unit = matrix.period_name
    say(
        exists.any(axis=0) & (last < matrix.periods_count - 1),
        lambda row: f"ends with {matrix.date_of(int(last[row]))}, before the panel does: its last level is carried on",
    )
    say((counts > 0) & (highest == 0), lambda row: f"nothing was sold in {counts[row]} {unit}s in stock: zero")
    say(
        (counts > 1) & (highest > 0) & (lowest == highest),
        lambda row: f"demand was the same in all {counts[row]} {unit}s: its quantiles have no width of their own",
    )
    return notes


def joined(*reasons: Sequence[str | None]) -> list[str | None]:
    """Reasons of several sources, series by series, as one sentence each; None where no source has any."""
    return ["; ".join(filter(None, own)) or None for own in zip(*reasons, strict=True)]


def _check_columns(panel: pl.DataFrame) -> None:
    missing = [name for name in PANEL_COLUMNS if name not in panel.columns]
    if missing:
        raise ValueError(f"panel: lacks {', '.join(missing)}, has {', '.join(panel.columns)}; build it with build_panel.")
    if panel.is_empty():
        raise ValueError("panel: has no rows, so there is nothing to forecast; select series that have sold.")
    kinds = {"demand_date": (pl.Date, pl.Datetime), "is_censored": (pl.Boolean,)}
    wrong = [f"{name} is {panel.schema[name]} and has to be {known[0]}" for name, known in kinds.items() if panel.schema[name] not in known]
    if not panel.schema["demand_qty"].is_numeric():
        wrong.append(f"demand_qty is {panel.schema['demand_qty']} and has to be a number")
    if wrong:
        raise ValueError(f"panel: {', '.join(wrong)}; cast the column.")
    if panel["demand_date"].null_count() == panel.height:
        raise ValueError(f"panel: none of its {panel.height} rows has a date; fill demand_date.")


def _period_starts(dates: pl.Series, frequency: Frequency) -> pl.Series:
    """First day of the period that each date lies in.

    Raises:
        ValueError: Most dates are on no first day.
    """
    if frequency == "daily":
        return dates
    shift = 0
    if frequency == "weekly":
        weekdays = dates.dt.weekday().drop_nulls()
        shift = int(weekdays.value_counts(sort=True).sort("count", "demand_date", descending=[True, False])["demand_date"][0]) - 1
    starts = dates.dt.offset_by(f"-{shift}d").dt.truncate(_STEPS[frequency]).dt.offset_by(f"{shift}d")
    astray = int((starts != dates).sum())
    if 2 * astray > len(dates):
        raise ValueError(
            f"panel: {astray} of {len(dates)} dates are no {PERIOD_NAMES[frequency]}'s first day, as {dates.filter(starts != dates)[0]}; "
            f"a {frequency} panel carries each period's first day: truncate the dates and add up, or name the frequency they have."
        )
    return starts


def _without_strays(rows: pl.DataFrame, starts: pl.Series, frequency: Frequency) -> pl.Series:
    """Null for dates that must be wrong; a series without another date has the last one of all others, to be named by.

    Periods in which no series has a row, more than a year of them, part the panel. Of its parts the one with most rows stands; another is
    left out if fewer than `LEAST_REACH` of the series reach it, or if it has fewer rows than the empty time before it has seasons.
    """
    present = starts.unique().drop_nulls().sort()
    numbers = period_numbers(present, frequency)
    holes = np.diff(numbers)
    borders = np.flatnonzero(holes > CYCLE_PERIODS[frequency])
    if not len(borders):
        return starts
    own = period_numbers(starts.fill_null(present[0]), frequency)
    part = pl.Series("part", np.searchsorted(numbers[borders + 1], own, side="right"))
    series = pl.Series("series", series_numbers(rows)[1])
    facts = (
        pl.DataFrame([part, series]).filter(starts.is_not_null()).group_by("part").agg(pl.len(), pl.col("series").n_unique()).sort("part")
    )
    counts = facts["len"].to_numpy()
    main = len(counts) - 1 - int(counts[::-1].argmax())
    seasons = np.insert(holes[borders], main, 0) / SEASON_PERIODS[frequency]
    is_wrong = (counts < seasons) | (facts["series"].to_numpy() < LEAST_REACH * series.n_unique())
    is_wrong[main] = False
    is_stray = pl.Series("stray", is_wrong)[part]
    last = starts.filter(part == main).max()
    return (
        rows.select(SERIES_KEY)
        .with_columns(starts.alias("start"), is_stray)
        .select(pl.when(~pl.col("stray")).then("start").when(pl.col("stray").all().over(SERIES_KEY)).then(pl.lit(last)))
        .to_series()
        .alias(starts.name)
    )


def _wrong_rows(rows: pl.DataFrame, starts: pl.Series) -> pl.Series | None:
    """Which rows cannot stand as they are: a null, a quantity below zero or not finite, a date that is no first day; None if none."""
    quantity = rows["demand_qty"]
    lowest, whole = cast("float | None", quantity.min()), quantity.sum()  # a sum is not finite where one of its parts is not
    has_nulls = any(rows[name].null_count() for name in PANEL_COLUMNS)
    if not has_nulls and lowest is not None and lowest >= 0 and np.isfinite(float(whole)) and starts.equals(rows["demand_date"]):
        return None
    is_null = rows.select(pl.any_horizontal(pl.all().is_null())).to_series()
    return is_null | ~(quantity.is_finite() & (quantity >= 0)).fill_null(False) | (starts != rows["demand_date"]).fill_null(True)


def _ordered(
    rows: pl.DataFrame, starts: pl.Series, is_wrong: pl.Series | None, frequency: Frequency
) -> tuple[pl.DataFrame, pl.Series | None]:
    """The rows by series and date, and which rows are of a series with a wrong row, a gap or a repetition; None if none."""
    keys, series = series_numbers(rows)
    period = period_numbers(starts.fill_null(strategy="min"), frequency)
    place = series * (int(period.max()) - int(period.min()) + 2) + period
    order = None if (np.diff(place) >= 0).all() else np.argsort(place, kind="stable")
    if order is not None:
        rows, place = rows[order], place[order]
    numbers = series if order is None else series[order]
    breaks = np.flatnonzero((np.diff(numbers) == 0) & (np.diff(place) != 1))
    if is_wrong is None and not len(breaks):
        return rows, None
    wrong = np.zeros(keys.height, dtype=np.bool_)
    wrong[numbers[breaks]] = True
    if is_wrong is not None:
        wrong[series[is_wrong.to_numpy()]] = True
    return rows, pl.Series(wrong[series])


def _mended(rows: pl.DataFrame, starts: pl.Series, frequency: Frequency) -> tuple[pl.DataFrame, pl.DataFrame]:
    quantity, mark = pl.col("demand_qty").cast(pl.Float64), pl.col("is_censored")
    is_near = ((pl.col("demand_date") - starts).dt.total_days() < _LONGEST_PERIOD_DAYS).fill_null(False)
    flags = {
        "no_key": pl.any_horizontal(pl.col(SERIES_KEY).is_null()),
        "no_date": pl.col("demand_date").is_null(),
        "stray": pl.col("demand_date").is_not_null() & ~is_near,
        "moved": (pl.col("demand_date") != starts).fill_null(False) & is_near,
        "no_qty": quantity.is_null() | ~quantity.is_finite(),
        "negative": (quantity < 0).fill_null(False),
        "no_mark": mark.is_null(),
    }
    flagged = rows.with_columns(**flags).with_columns(starts.alias("demand_date"))
    is_unknown = pl.col("no_key") | pl.col("stray") | pl.col("no_qty") | pl.col("negative")
    dated = flagged.filter(pl.col("demand_date").is_not_null()).with_columns(
        pl.when(is_unknown).then(0.0).otherwise(quantity).alias("demand_qty"), (mark.fill_null(False) | is_unknown).alias("is_censored")
    )
    by_period = dated.group_by(*SERIES_KEY, "demand_date").agg(
        pl.col("demand_qty").sum(), mark.any(), (pl.len().cast(pl.Int64) - 1 - pl.col("stray").sum().cast(pl.Int64)).clip(0).alias("twice")
    )
    first, last = pl.col("demand_date").min(), pl.col("demand_date").max()
    spans = by_period.group_by(SERIES_KEY).agg(pl.date_ranges(first, last, interval=_STEPS[frequency]).explode().alias("demand_date"))
    panel = (
        spans.explode("demand_date")
        .join(by_period, on=[*SERIES_KEY, "demand_date"], how="left", nulls_equal=True)
        .with_columns(pl.col("demand_qty").is_null().alias("gaps"), pl.col("demand_qty").fill_null(0.0), mark.fill_null(True))
        .sort(*SERIES_KEY, "demand_date")
    )
    of_rows = flagged.group_by(SERIES_KEY).agg(pl.col(name).sum().cast(pl.Int64) for name in flags)
    of_periods = panel.group_by(SERIES_KEY).agg(pl.col(name).sum().cast(pl.Int64) for name in ("twice", "gaps"))
    counts = of_rows.join(of_periods, on=SERIES_KEY, how="left", nulls_equal=True).sort(SERIES_KEY)
    return panel.select(PANEL_COLUMNS), _notes(counts, frequency)


def _notes(counts: pl.DataFrame, frequency: Frequency) -> pl.DataFrame:
    sentences = [
        pl.when(pl.col(name) > 0).then(pl.format(text.replace("{period}", PERIOD_NAMES[frequency]), pl.col(name)))
        for name, text in _NOTES.items()
    ]
    notes = counts.select(*SERIES_KEY, pl.concat_str(sentences, separator="; ", ignore_nulls=True).alias("note"))
    return notes.filter(pl.col("note") != "")


def _no_notes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(*SERIES_KEY, pl.lit(None, dtype=pl.String).alias("note")).clear()
