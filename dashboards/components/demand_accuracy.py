"""How good forecasts have been: against seasonal naive, level by level; which were worse, which broke, which have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.class_names import CLASS_NAMES
from dashboards.components.formats import (
    escape_markdown,
    format_count,
    format_date,
    format_percent,
    format_units,
)
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from dashboards.queries.demand import Scope
    from dashboards.queries.releases import Served
    from dashboards.queries.reports import ReportTable

NAIVE: Final = (
    "Seasonal naive says that each day will be like the same weekday a week before. It costs nothing, so a forecast has to beat it. "
    "Both are made from past cut-offs, without what came after, and held against what came."
)
WAPE: Final = (
    "WAPE adds up how far each day's forecast was off and sets that against all units wanted: 100 % means that the misses of single days "
    "add up to as many units as were wanted. Single days of slow items cannot be hit, so it is high where items sell a few units a week, "
    "whatever the method; the comparison with naive says whether the forecast is worth having."
)
SPLITS: Final = {
    "abc_class": "Sales class (ABC)", "xyz_class": "Steadiness (XYZ)", "category": "Category", "location": "Location",
    "week_ahead": "Weeks ahead",
}  # fmt: skip
_LABELS: Final = {
    "name": "Part", "fva_rate": "Better than naive (%)", "wape_rate": "WAPE (%)", "naive_wape_rate": "WAPE of naive (%)",
    "bias_rate": "Bias (%)", "mase": "MASE", "band_coverage_rate": "Days in band (%)", "series_count": "Series",
    "actual_qty": "Units tested", "cutoffs_count": "Cut-offs", "added_error_qty": "Error added (units)", "location": "Location",
    "title": "Title", "history_days_count": "History (days)", "censored_days_count": "Without stock (days)", "state": "State",
    "reason": "Why", "kind": "Cause", "model": "Used instead", "recent_qty": "Wanted in 91 days (units)",
}  # fmt: skip
_WITHOUT: Final = {
    "state": "No forecast; a fallback, where another model stands in; or broken.",
    "recent_qty": "Units wanted in the last 91 days.",
    "model": "What stands in for the usual model; blank where nothing does.",
}
_CHECK_PIXELS: Final = 200
_CAUSES: Final = {"item inactive": "inactive", "no sale lately": "without a sale lately", "too few sales": "with too few sales"}
CHECK_NAMES: Final = {"bias_drift": "Bias", "coverage_drift": "Band", "fallback_share": "Share on a fallback"}


def accuracy_title(whole: Mapping[str, Any] | None, *, today: date) -> str:
    """The answer in words: by how much the forecast beats naive, over what, and when that was tested."""
    if whole is None or whole["fva_rate"] is None:
        return "Not tested yet: no series is long enough for a backtest"
    better = whole["fva_rate"]
    said = f"The forecast is {format_percent(abs(better))} {'better' if better >= 0 else 'worse'} than seasonal naive"
    return (
        f"{said}: {format_units(whole['series_count'])} series, {format_count(whole['cutoffs_count'], 'cut-off')}, tested with the data of "
        f"{format_date(whole['backtest_date'], today=today)}"
    )


def whole_of(scores: ReportTable) -> dict[str, Any] | None:
    """The line over all series; None where nothing was tested."""
    found = scores.rows.filter(pl.col("split") == "all") if scores.rows.height else scores.rows
    return found.row(0, named=True) if found.height else None


def split_chart(served: Served, scores: ReportTable, split: str, names: Mapping[str, str]) -> None:
    """How much better than naive the forecast is, part by part."""
    rows = scores.rows.filter(pl.col("split") == split)
    named = [_part(split, member, names) for member in rows["member"]]
    rows = rows.with_columns(pl.Series("name", named, dtype=pl.String))
    rows = rows.sort("member") if split == "week_ahead" else rows.sort("fva_rate", descending=True, nulls_last=True)
    if rows.is_empty():
        st.caption("Nothing was tested by this split.")
        return
    chart_block(
        bar_chart(rows.drop_nulls("fva_rate"), value="fva_rate", unit="percent"),
        title=split_title(rows), alt_text=f"Forecast value added by {SPLITS[split]}", frame=rows, name=f"forecast-scores-by-{split}",
        as_of=served.context.as_of_date,
        caption=f"{coverage_words(rows)} All series: this table is not narrowed by location and category.",
        columns=("name", "fva_rate", "wape_rate", "bias_rate", "mase", "band_coverage_rate", "series_count", "actual_qty", "cutoffs_count"),
        labels=_LABELS, filters={}, definitions=scores.definitions,
    )  # fmt: skip


def split_title(rows: pl.DataFrame) -> str:
    """Where the forecast is worth most and least, and whether it is worse than naive anywhere."""
    known = rows.drop_nulls("fva_rate").sort("fva_rate", descending=True)
    if known.height < 2:
        return "Better than naive, part by part"
    top, bottom = known.row(0, named=True), known.row(-1, named=True)
    worse = known.filter(pl.col("fva_rate") < 0).height
    least = f"{format_percent(abs(bottom['fva_rate']))} {'better' if bottom['fva_rate'] >= 0 else 'worse'}"
    said = f"Best for {top['name']}, {format_percent(top['fva_rate'])} better than naive; least for {bottom['name']}, {least}"
    return f"{said}. Worse than naive in {worse} of {known.height}" if worse else said


def coverage_words(rows: pl.DataFrame) -> str:
    """How honest the bands were, in the part where they were worst."""
    known = rows.drop_nulls("band_coverage_rate").sort((pl.col("band_coverage_rate") - 0.8).abs(), descending=True)
    if known.is_empty():
        return ""
    worst = known.row(0, named=True)
    return f"The p10-p90 band should hold 80 % of days; furthest off: {worst['name']}, {format_percent(worst['band_coverage_rate'])}."


def worse_table(
    served: Served, frame: pl.DataFrame, tested: Mapping[str, Any], scope: Scope, *, opens: Callable[[dict[str, Any]], None]
) -> None:
    """The series whose forecast did worse than naive."""
    st.markdown(f"**{worse_title(tested)}**", help=NAIVE)
    if frame.is_empty():
        return
    st.caption("Those that cost most units of error first. Click a row to open the item; an override helps where you know better.")
    data_table(
        frame, name="worse-than-naive", as_of=served.context.as_of_date, alt="Series whose forecast was worse than seasonal naive",
        columns=("sku", "title", "location", "added_error_qty", "wape_rate", "naive_wape_rate", "actual_qty", "history_days_count"),
        labels=_LABELS | {"actual_qty": "Wanted (units)"}, filters=scope.as_export(), opens=opens,
        definitions={"added_error_qty": "By how many units its errors were above naive's on the tested days.", "wape_rate": WAPE},
    )  # fmt: skip


def worse_title(tested: Mapping[str, Any]) -> str:
    """How many, and how much of demand they are."""
    if not tested["series_count"]:
        return "No series here was tested"
    share = tested["worse_actual_qty"] / tested["actual_qty"] if tested["actual_qty"] else None
    return (
        f"Worse than naive: {tested['worse_count']:,} of {tested['series_count']:,} items at locations, "
        f"{format_percent(share)} of the units wanted"
    )


def without_table(served: Served, frame: pl.DataFrame, scope: Scope, *, opens: Callable[[dict[str, Any]], None]) -> None:
    """Series that have no forecast of their own, with the reason and what stands in."""
    st.markdown(f"**{without_title(frame)}**")
    if frame.is_empty():
        return
    st.caption("Most wanted lately first. Without a forecast nothing is suggested for them; the stock page says what lies there.")
    data_table(
        frame, name="without-forecast", as_of=served.context.as_of_date, alt="Series without a forecast and why",
        columns=("state", "sku", "title", "location", "reason", "recent_qty", "model"), labels=_LABELS,
        filters=scope.as_export(), definitions=_WITHOUT, opens=opens,
    )  # fmt: skip


def without_title(frame: pl.DataFrame) -> str:
    """How many have none and the commonest cause, how many are on a fallback."""
    if frame.is_empty():
        return "Every item at every location has a forecast of its own, none is on a fallback"
    counts = dict(frame["state"].value_counts().iter_rows())
    none = frame.filter(pl.col("state") == "No forecast")
    causes = ", ".join(f"{count:,} {_CAUSES.get(kind, kind)}" for kind, count in none["kind"].value_counts(sort=True).iter_rows())
    said = f"{format_count(none.height, 'item')} at locations without a forecast" + (f": {causes}" if causes else "")
    others = [f"{counts[state]:,} {words}" for state, words in (("Fallback", "on a fallback"), ("Broken", "broken")) if state in counts]
    return "; ".join([said, *others])


def check_list(checks: pl.DataFrame, withheld: str | None) -> None:
    """What the forecasts of this run had to pass before anything is suggested."""
    if withheld:
        st.warning(f"**Suggestions are withheld**, because the forecasts broke: {escape_markdown(withheld)}", icon=":material/warning:")
    if checks.is_empty():
        st.caption("This run checked no forecasts.")
        return
    st.markdown(f"**{checks_title(checks)}**", help="Fails one, the run suggests no orders: wrong forecasts buy wrong stock.")
    with st.grid(3, min_column_width=_CHECK_PIXELS, border=True) as grid:
        for row in checks.iter_rows(named=True):
            with grid.cell():
                name = CHECK_NAMES.get(row["check_name"], row["check_name"])
                icon, word, color = ("check_circle", "Passed", "green") if row["is_passed"] else ("cancel", "Failed", "red")
                st.badge(f"{name}: {word}", icon=f":material/{icon}:", color=color)  # type: ignore[arg-type]  # a name of its colours
                st.caption(check_words(row))


def checks_title(checks: pl.DataFrame) -> str:
    """How many of the checks passed."""
    return f"The forecasts of this run passed {int(checks['is_passed'].sum())} of {format_count(checks.height, 'check')}"


def check_words(row: Mapping[str, Any]) -> str:
    """What was measured, what is usual, and how far it may go."""
    usual = "" if row["usual_rate"] is None else f", usual {format_percent(row['usual_rate'])}"
    percent = format_percent(row["limit_rate"])
    limit = f"at most {percent}" if row["usual_rate"] is None else f"may move by {percent.replace('%', 'pp')}"
    return f"{format_percent(row['measured_rate'])}{usual}, {limit}; {row['basis']}"


def _part(split: str, member: str, names: Mapping[str, str]) -> str:
    if split == "week_ahead":
        return f"Week {member}"
    return CLASS_NAMES.get(member, member) if split in {"abc_class", "xyz_class"} else names.get(member, member)
