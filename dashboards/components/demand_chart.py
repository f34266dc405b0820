"""An item's demand: what was wanted day by day, what is forecast with its range, and what people expect instead."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, day_axis, day_tooltip, layered
from dashboards.components.stock_chart import amount_axis, as_of_mark, count_tooltip

if TYPE_CHECKING:
    from dashboards.queries.forecasts import DemandOutlook

HEIGHT: Final = 260
_NAME_DAYS: Final = 16  # room on the right for the courses' names
_FORECAST: Final = "Forecast"
_OVERRIDE: Final = "Override"
_DASHED: Final = [5, 4]
_SOLID: Final = [1, 0]


def demand_chart(outlook: DemandOutlook) -> Layers:
    """History solid in grey, days without stock marked on the axis, promotions shaded; forecast dashed with its band, overrides solid.

    Where an override holds, the band is that of the override, as suggestions reckon with it.
    """
    first = min(outlook.history["demand_date"], default=outlook.as_of_date)
    last = max(outlook.days["demand_date"], default=outlook.as_of_date) + timedelta(days=_NAME_DAYS)
    highest = max([*outlook.history["demand_qty"], *outlook.days["demand_p90_qty"].drop_nulls(), *outlook.days["demand_mean_qty"], 1.0])
    domain = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in (first, last)]
    day = day_axis("demand_date", alt.Scale(type="utc", domain=domain))
    units = _units("demand_p10_qty", alt.Scale(domain=[0, 1.1 * highest], nice=False))
    band = as_chart(outlook.days).mark_area(opacity=theme.BAND_OPACITY, color=theme.ACCENT).encode(day, units, alt.Y2("demand_p90_qty:Q"))
    courses = _course(outlook.days, "statistical_mean_qty", _FORECAST, color=theme.ACCENT, dash=_DASHED)
    if not outlook.overrides.is_empty():
        courses += _course(_overridden(outlook), "demand_mean_qty", _OVERRIDE, color=theme.WARNING, dash=_SOLID)
    censored = outlook.history.filter(pl.col("is_censored"))
    layers = [
        *_promotions(outlook.promotions),
        band,
        _history(outlook.history),
        *([] if censored.is_empty() else [_without_stock(censored)]),  # marks of nothing are nameless to a screen reader
        *courses,
        *as_of_mark(outlook.as_of_date),
    ]
    return layered(layers, height=HEIGHT)


def _units(column: str, scale: alt.Scale | None = None) -> alt.Y:
    """Units a day, in fractions where a day sells less than one."""
    axis: alt.Y = amount_axis(column, scale, title="Units a day").axis(format="~g", tickCount=5)
    return axis


def _overridden(outlook: DemandOutlook) -> pl.DataFrame:
    """Days no override holds on have no quantity, so that the line breaks there."""
    return outlook.days.with_columns(pl.when(pl.col("override_id").is_not_null()).then("demand_mean_qty").alias("demand_mean_qty"))


def _history(history: pl.DataFrame) -> alt.Chart:
    tooltip = [day_tooltip("demand_date"), count_tooltip("demand_qty", "Units wanted")]
    line = as_chart(history).mark_line(color=theme.REFERENCE, strokeWidth=1.5)
    chart: alt.Chart = line.encode(day_axis("demand_date"), _units("demand_qty"), tooltip=tooltip)
    return chart


def _without_stock(censored: pl.DataFrame) -> alt.Chart:
    """Marks between the axis and its labels."""
    days = censored.with_columns(pl.lit(0.0).alias("axis_qty"))
    base = as_chart(days).mark_point(shape="square", filled=True, size=18, opacity=1, color=theme.WARNING, yOffset=5)
    tooltip = [day_tooltip("demand_date"), count_tooltip("demand_qty", "Ended without stock, units sold")]
    chart: alt.Chart = base.encode(day_axis("demand_date"), _units("axis_qty"), tooltip=tooltip)
    return chart


def _promotions(promotions: pl.DataFrame) -> list[alt.Chart]:
    """Days of a promotion shaded from top to bottom, with the word above them."""
    spans = promotions.with_columns(pl.col("to_date").dt.offset_by("1d").alias("until_date"), pl.lit("promotion").alias("name"))
    base = as_chart(spans).encode(day_axis("from_date"))
    said = [day_tooltip("from_date"), alt.Tooltip("to_date:T", timeUnit="utcyearmonthdate", title="Promoted until", format="%a %-d %b %Y")]
    shade = base.mark_rect(color=theme.INBOUND, opacity=0.12).encode(x2=alt.X2("until_date:T", timeUnit="utcyearmonthdate"), tooltip=said)
    text = base.mark_text(color=theme.INBOUND, align="left", dx=2, baseline="top", fontSize=11).encode(y=alt.YValue(18), text="name:N")
    return [shade, text]


def _course(days: pl.DataFrame, column: str, name: str, *, color: str, dash: list[int]) -> list[alt.Chart]:
    """Means of the days ahead, named where they end."""
    tooltip = [
        day_tooltip("demand_date"),
        alt.Tooltip(f"{column}:Q", title=f"{name}, units", format=",.1f"),
        alt.Tooltip("demand_p10_qty:Q", title="p10", format=",.1f"),
        alt.Tooltip("demand_p90_qty:Q", title="p90", format=",.1f"),
    ]
    axes = (day_axis("demand_date"), _units(column))
    line = as_chart(days).mark_line(strokeWidth=2.5, color=color, strokeDash=dash).encode(*axes, tooltip=tooltip)
    known = days.filter(pl.col(column).is_not_null())
    end = known.filter(pl.col("demand_date") == pl.col("demand_date").max()).with_columns(pl.lit(name).alias("name"))
    text = as_chart(end).mark_text(align="left", baseline="middle", dx=6, fontSize=12, fontWeight=600, color=color)
    return [line, text.encode(*axes, text="name:N")]
