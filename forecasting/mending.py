"""Panels as they should be, with what had to be done to each series: bad rows are data with a defined result, not the end of a run.

What is unknown becomes a censored period, never a zero: a missing row may be a day without a sale or a file that was lost.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.schema import PANEL_COLUMNS, SERIES_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import Frequency

OUTLIER_TIMES: Final = 10.0  # a period above so many times every other one is a one-off: a bulk order or a typing error
LEAST_OTHER_SALES: Final = 5  # periods with demand beside it; with fewer there is nothing to call usual

_STEPS: Final[Mapping[Frequency, str]] = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}
_NAMES: Final[Mapping[Frequency, str]] = {"daily": "day", "weekly": "week", "monthly": "month"}
# what a count of rows or periods means for a series, in the order it is said
_NOTES: Final[Mapping[str, str]] = {
    "no_key": "{} rows lack sku or location_id: they belong to no series",
    "no_date": "{} rows lack a date: left out",
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
    rows = panel.select(PANEL_COLUMNS)
    starts = _period_starts(rows["demand_date"], frequency)
    if _is_tidy(rows, starts):
        ordered = rows if _is_sorted(rows) else rows.sort(*SERIES_KEY, "demand_date")
        if _has_every_period(ordered, frequency):
            return ordered.with_columns(pl.col("demand_qty").cast(pl.Float64)), _no_notes()
    return _mended(rows, starts, frequency)


def judge_series(matrix: SeriesMatrix) -> tuple[SeriesMatrix, list[str | None]]:
    """One-off periods are censored, and what makes a series unusual is said, from what the matrix holds and nothing later.

    A one-off is the one period whose demand is over `OUTLIER_TIMES` every other one's of a series with
    `LEAST_OTHER_SALES` others: no level or profile is learned from it. All rules are free of units.

    Returns:
        The matrix, and a reason per series, None where there is nothing to say.
    """
    rows = np.arange(matrix.keys.height)
    period, exists = matrix.frequency, matrix.observed | matrix.censored
    padded = matrix.demand if matrix.periods_count > 1 else np.vstack([matrix.demand, matrix.demand])
    second, most = np.partition(padded, -2, axis=0)[-2:]
    sales_counts = (matrix.demand > 0).sum(axis=0)
    is_one_off = (most > OUTLIER_TIMES * second) & (sales_counts > LEAST_OTHER_SALES)
    place = matrix.demand.argmax(axis=0)
    kept = _without(matrix, place[is_one_off], rows[is_one_off]) if is_one_off.any() else matrix
    counts = kept.observed.sum(axis=0)
    is_flat = (counts > 1) & (np.where(kept.observed, kept.demand, np.inf).min(axis=0) == np.where(kept.observed, kept.demand, 0).max(axis=0))
    last = matrix.periods_count - 1 - exists[::-1].argmax(axis=0)
    said: list[list[str]] = [[] for _ in rows]
    for row in np.flatnonzero(is_one_off).tolist():
        units, when = float(most[row]), matrix.date_of(int(place[row]))
        said[row].append(f"{units:,.6g} units on {when} are over {OUTLIER_TIMES:.0f} times any other {_NAMES[period]}: left out as a one-off")
    for row in np.flatnonzero(last < matrix.periods_count - 1).tolist():
        said[row].append(f"ends with {matrix.date_of(int(last[row]))}, before the panel does: its last level is carried on")
    for row in np.flatnonzero((counts > 0) & (sales_counts == 0)).tolist():
        said[row].append(f"nothing was sold in {counts[row]} {_NAMES[period]}s in stock: zero")
    for row in np.flatnonzero(is_flat & (sales_counts > 0)).tolist():
        said[row].append(f"demand was the same in all {counts[row]} {_NAMES[period]}s: its quantiles have no width")
    return kept, ["; ".join(words) or None for words in said]


def joined(*reasons: Sequence[str | None]) -> list[str | None]:
    """Reasons of several sources, series by series, as one sentence each; None where no source has any."""
    return ["; ".join(filter(None, own)) or None for own in zip(*reasons, strict=True)]


def _without(matrix: SeriesMatrix, periods: np.ndarray, rows: np.ndarray) -> SeriesMatrix:  # type: ignore[type-arg]
    demand, observed, censored = matrix.demand.copy(), matrix.observed.copy(), matrix.censored.copy()
    demand[periods, rows], observed[periods, rows], censored[periods, rows] = 0.0, False, True
    return dataclasses.replace(matrix, demand=demand, observed=observed, censored=censored)


def _check_columns(panel: pl.DataFrame) -> None:
    missing = [name for name in PANEL_COLUMNS if name not in panel.columns]
    if missing:
        raise ValueError(f"panel: lacks {', '.join(missing)}, has {', '.join(panel.columns)}; build it with build_panel.")
    if panel.is_empty():
        raise ValueError("panel: has no rows, so there is nothing to forecast; select series that have sold.")
    kinds = {"demand_date": pl.Date, "is_censored": pl.Boolean}
    wrong = [f"{name} is {panel.schema[name]} and has to be {kind}" for name, kind in kinds.items() if panel.schema[name] != kind]
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
            f"panel: {astray} of {len(dates)} dates are no {_NAMES[frequency]}'s first day, the first one {dates.filter(starts != dates)[0]}; "
            f"a {frequency} panel carries each period's first day: truncate the dates and add up, or name the frequency they have."
        )
    return starts


def _is_tidy(rows: pl.DataFrame, starts: pl.Series) -> bool:
    """No null, no quantity below zero or not finite, every date a first day; order, gaps and repetitions are not looked at."""
    if any(rows[name].null_count() for name in PANEL_COLUMNS) or (starts is not rows["demand_date"] and not starts.equals(rows["demand_date"])):
        return False
    quantity = rows["demand_qty"]
    lowest, whole = quantity.min(), quantity.sum()  # a sum is not finite where one of its parts is not
    return bool(lowest >= 0 and np.isfinite(float(whole)))  # type: ignore[operator]


def _is_sorted(rows: pl.DataFrame) -> bool:
    sku, location, when = (pl.col(name) for name in (*SERIES_KEY, "demand_date"))
    same = sku == sku.shift()
    there = same & (location == location.shift())
    later = (sku > sku.shift()) | (same & (location > location.shift())) | (there & (when >= when.shift()))
    return bool(rows.select(later.slice(1).all()).item())


def _has_every_period(ordered: pl.DataFrame, frequency: Frequency) -> bool:
    """Each row of a sorted panel is one period after the one before, or begins a series."""
    same = (pl.col("sku") == pl.col("sku").shift()) & (pl.col("location_id") == pl.col("location_id").shift())
    following = pl.col("demand_date").shift().dt.offset_by(_STEPS[frequency])
    return bool(ordered.select((~same | (pl.col("demand_date") == following)).slice(1).all()).item())


def _mended(rows: pl.DataFrame, starts: pl.Series, frequency: Frequency) -> tuple[pl.DataFrame, pl.DataFrame]:
    quantity, mark = pl.col("demand_qty").cast(pl.Float64), pl.col("is_censored")
    flags = {
        "no_key": pl.any_horizontal(pl.col(SERIES_KEY).is_null()),
        "no_date": pl.col("demand_date").is_null(),
        "moved": (pl.col("demand_date") != starts).fill_null(False),
        "no_qty": quantity.is_null() | ~quantity.is_finite(),
        "negative": (quantity < 0).fill_null(False),
        "no_mark": mark.is_null(),
    }
    flagged = rows.with_columns(**flags).with_columns(starts.alias("demand_date"))
    is_unknown = pl.col("no_key") | pl.col("no_qty") | pl.col("negative")
    dated = flagged.filter(~pl.col("no_date")).with_columns(
        pl.when(is_unknown).then(0.0).otherwise(quantity).alias("demand_qty"), (mark.fill_null(False) | is_unknown).alias("is_censored")
    )
    by_period = dated.group_by(*SERIES_KEY, "demand_date").agg(pl.col("demand_qty").sum(), mark.any(), (pl.len() - 1).alias("twice"))
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
        pl.when(pl.col(name) > 0).then(pl.format(text.replace("{period}", _NAMES[frequency]), pl.col(name))) for name, text in _NOTES.items()
    ]
    notes = counts.select(*SERIES_KEY, pl.concat_str(sentences, separator="; ", ignore_nulls=True).alias("note"))
    return pl.concat([_no_notes(), notes.filter(pl.col("note") != "")], how="vertical_relaxed")


def _no_notes() -> pl.DataFrame:
    return pl.DataFrame(schema={"sku": pl.String, "location_id": pl.String, "note": pl.String})
