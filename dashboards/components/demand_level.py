"""Demand of many items together: what was wanted week by week, what is forecast, and what the sum is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import HEIGHT, Layers, as_chart, chart_block, day_axis, day_tooltip, layered
from dashboards.components.formats import format_change, format_count, format_percent, format_units
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.queries.demand import DemandSum, Level, Scope
    from dashboards.queries.releases import Served

_ACTUAL, _FORECAST, _LAST_YEAR = "Wanted", "Forecast", "Year ago"
_APART: Final = 10  # pixels from a course to its name, away from the other one
_NAME_SHARE: Final = 0.2  # room on the right for the courses' names
_UNITS: Final = alt.Axis(format=",.0f", tickCount=5)
_COLUMNS: Final = (
    "name",
    "recent_qty",
    "forecast_qty",
    "change_rate",
    "last_year_qty",
    "without_forecast_count",
    "worse_count",
    "tested_count",
)
_HEADINGS: Final[dict[str, str]] = {"category": "Category", "sku": "Item", "location": "Location"}
_LABELS: Final = {
    "recent_qty": "Last 28 days (units)", "forecast_qty": "Next 28 days (units)", "change_rate": "Change (%)",
    "last_year_qty": "A year before (units)", "without_forecast_count": "Without forecast", "worse_count": "Worse than naive",
    "tested_count": "Tested",
}  # fmt: skip
_DEFINITIONS: Final = {
    "recent_qty": "Units wanted in the 28 days up to the as-of date.",
    "forecast_qty": "Units expected in the 28 days after it, with overrides: a sum of means, which may be added up.",
    "last_year_qty": "Units wanted in the same 28 days as are forecast, 364 days before.",
    "without_forecast_count": "Items at locations that have no forecast; part Without forecast says why.",
    "worse_count": "Items at locations whose forecast did worse than seasonal naive on past cut-offs.",
    "tested_count": "Items at locations that the backtest could test.",
}


def demand_level(served: Served, found: DemandSum, scope: Scope, *, what: str) -> None:
    """The sum's course under its answer, with what the reader must know of it."""
    chart_block(
        sum_chart(found), title=sum_title(found), alt_text=f"Demand of {what} by week, with forecast", frame=found.weeks,
        name="demand-by-week", as_of=served.context.as_of_date, caption=sum_caption(found),
        labels={"from_date": "From", "to_date": "To", "actual_qty": "Wanted (units)", "forecast_qty": "Forecast (units)",
                "last_year_qty": "Year ago (units)", "promoted_skus_count": "Items promoted"},
        definitions={"forecast_qty": _DEFINITIONS["forecast_qty"], "last_year_qty": "The same week 364 days before."},
        filters=scope.as_export(),
    )  # fmt: skip


def member_table(served: Served, frame: pl.DataFrame, by: Level, scope: Scope, *, opens: Callable[[dict[str, Any]], None]) -> None:
    """What the sum is made of; a row leads one level deeper."""
    st.markdown(f"**{member_title(frame, by)}**")
    rows = frame.with_columns(without_forecast_count=pl.col("series_count") - pl.col("forecast_count"))
    columns = ("member", *_COLUMNS) if by == "sku" else _COLUMNS
    names = {"member": "SKU", "name": "Title"} if by == "sku" else {"name": _HEADINGS[by]}
    st.caption("Click a row to go deeper.")
    data_table(
        rows, name=f"demand-by-{by}", as_of=served.context.as_of_date, alt=f"Demand by {by}, most forecast first", columns=columns,
        labels=_LABELS | names, filters=scope.as_export(), definitions=_DEFINITIONS, opens=opens,
    )  # fmt: skip


def sum_title(found: DemandSum) -> str:
    """The answer: what is forecast, against the weeks behind and a year before."""
    if found.forecast_qty is None:
        return f"No forecast: none of {format_count(found.series_count, 'item')} at locations has one"
    against = [
        f"{format_change(100 * rate, '%')} on {before}"
        for rate, before in (
            (found.change_rate, f"the last {found.forecast_weeks_count}"),
            (found.last_year_change_rate, "the same weeks a year before"),
        )
        if rate is not None
    ]
    said = f"{format_units(found.forecast_qty)} units are forecast for the next {format_count(found.forecast_weeks_count, 'week')}"
    return f"{said}: {' and '.join(against)}" if against else said


def sum_caption(found: DemandSum) -> str:
    """Why there is no band and what stands in for it, what has no forecast, and how often there was nothing to sell."""
    said = ["Units a week, counted from the as-of date; the forecast holds overrides."]
    if found.forecast_qty is not None:
        said.append("No band: ranges of single items do not add up to a range of their sum; one item at one location has its own.")
    if found.tested_weeks_count and found.lowest_error_rate is not None and found.highest_error_rate is not None:
        said.append(
            f"Instead: in {format_count(found.tested_weeks_count, 'past week')} that were tested, forecasts of this sum were "
            f"{_missed(found.lowest_error_rate)} to {_missed(found.highest_error_rate)}."
        )
    if without := found.series_count - found.forecast_count:
        said.append(
            f"{without:,} of {found.series_count:,} items at locations have no forecast: {format_units(found.unforecast_recent_qty)} units "
            "of the last 28 days were theirs."
        )
    if found.without_stock_rate:
        said.append(
            f"{format_percent(found.without_stock_rate)} of their days ended without stock, when more may have been wanted than came."
        )
    return " ".join(said)


def member_title(frame: pl.DataFrame, by: Level) -> str:
    """Who has most of it, and whose forecast moves most."""
    known = frame.drop_nulls("forecast_qty")
    if known.is_empty():
        return f"Demand by {_HEADINGS[by].lower()}"
    top = known.row(0, named=True)
    share = top["forecast_qty"] / known["forecast_qty"].sum() if known["forecast_qty"].sum() else None
    said = f"Most is forecast for {top['name']}: {format_units(top['forecast_qty'])} units"
    return f"{said}, {format_percent(share)} of all" if share is not None and known.height > 1 else said


def sum_chart(found: DemandSum) -> Layers:
    """What was wanted solid, the forecast dashed where it goes on, the year before in grey; each named beside its end."""
    first, last = found.weeks["from_date"][0], found.weeks["from_date"][-1]
    room = last + (last - first) * _NAME_SHARE
    domain = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in (first, room)]
    when = day_axis("from_date", alt.Scale(type="utc", domain=domain))
    ends = found.weeks.drop_nulls(["forecast_qty", "last_year_qty"]).tail(1)
    is_above = ends.height == 0 or ends["forecast_qty"][0] >= ends["last_year_qty"][0]
    weeks = found.weeks.with_columns(forecast_qty=pl.coalesce("forecast_qty", pl.when(_is_last_behind()).then("actual_qty")))
    shift = _APART if is_above else -_APART
    before = _line(weeks, when, "last_year_qty", _LAST_YEAR, color=theme.REFERENCE, width=1.5, dash=[1, 0], name_shift=shift)
    layers = [
        *(before if weeks["last_year_qty"].count() else []),  # a course without a point would be a nameless thing to a screen reader
        *_line(weeks, when, "actual_qty", _ACTUAL, color=theme.ACCENT, width=2.5, dash=[1, 0]),
        *_line(weeks, when, "forecast_qty", _FORECAST, color=theme.ACCENT, width=2.5, dash=[5, 4], name_shift=-shift),
    ]
    return layered(layers, height=HEIGHT)


def _is_last_behind() -> pl.Expr:
    return pl.col("from_date") == pl.col("from_date").filter(pl.col("actual_qty").is_not_null()).max()


def _line(
    weeks: pl.DataFrame, when: alt.X, column: str, name: str, *, color: str, width: float, dash: list[int], name_shift: int | None = None
) -> list[alt.Chart]:
    """A course; named beside its end, so many pixels below that point, unless it goes on."""
    known = weeks.drop_nulls(column)
    how_much = alt.Y(f"{column}:Q", title="Units a week", axis=_UNITS, scale=alt.Scale(zero=True))
    said = [day_tooltip("from_date"), alt.Tooltip(f"{column}:Q", title=name, format=",.0f"),
            alt.Tooltip("promoted_skus_count:Q", title="Items promoted", format=",.0f")]  # fmt: skip
    line = as_chart(known).mark_line(color=color, strokeWidth=width, strokeDash=dash).encode(when, how_much, tooltip=said)
    end = as_chart(known.tail(0 if name_shift is None else 1).with_columns(pl.lit(name).alias("name")))
    text = end.mark_text(align="left", baseline="middle", dx=4, dy=name_shift or 0, fontSize=11, fontWeight=600, color=color)
    return [line, text.encode(when, how_much, text="name:N")]


def _missed(rate: float) -> str:
    return f"{format_percent(abs(rate))} too {'low' if rate < 0 else 'high'}"
