"""An item's stock: what it was, what it is, and what demand and deliveries make of it with and without the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl
import polars.selectors as cs

from dashboards import theme

if TYPE_CHECKING:
    from dashboards.queries import StockOutlook

HEIGHT: Final = 340
WITH: Final = "With order"
WITHOUT: Final = "Without"
_COURSES: Final = [WITH, WITHOUT]
_STEPS: Final = "step-after"  # stock of a day stands until the next day's end
_DELIVERIES: Final = (("under way", theme.INBOUND, 14), ("this order", theme.ACCENT, 38))


def stock_chart(outlook: StockOutlook) -> alt.LayerChart:
    """History in grey; the outlook with the order solid and without it dashed, each with its p10-p90 band; deliveries as triangles.

    The two courses are one until the order arrives, so the dashed one begins there.
    """
    courses = outlook.days.with_columns(pl.when("is_with_order").then(pl.lit(WITH)).otherwise(pl.lit(WITHOUT)).alias("course"))
    shown = courses.filter(pl.col("is_with_order") | (pl.col("stock_date") >= outlook.receipt_date))
    arriving = [_deliveries(outlook.deliveries.filter(pl.col("kind") == kind), color=color, top=top) for kind, color, top in _DELIVERIES]
    layers = [_bands(shown, outlook), _history(outlook.history), _medians(shown), _names(shown), _now(outlook), *arriving]
    chart: alt.LayerChart = alt.LayerChart(layer=layers).properties(height=HEIGHT)
    return chart


def _chart(frame: pl.DataFrame) -> alt.Chart:
    """The frame with its days as ISO text: a browser takes dates of a frame for midnights of its own zone, text for UTC's."""
    return alt.Chart(frame.with_columns(cs.date().dt.to_string()))


def _day(name: str, scale: alt.Scale | None = None) -> alt.X:
    """Days are days: read and shown in UTC, so that no reader's zone moves them."""
    axis = alt.Axis(format="%-d %b", grid=False, tickCount=8, labelOverlap=True)
    return alt.X(f"{name}:T", timeUnit="utcyearmonthdate", title=None, axis=axis, scale=scale or alt.Scale(type="utc"))


def _units(name: str, scale: alt.Scale | None = None) -> alt.Y:
    axis = alt.Axis(format=",.0f", tickCount=5)
    return alt.Y(f"{name}:Q", title="Units", scale=scale or alt.Scale(domainMin=0), axis=axis)


def _color() -> alt.Color:
    return alt.Color("course:N", scale=alt.Scale(domain=_COURSES, range=[theme.ACCENT, theme.WARNING]), legend=None)


def _bands(shown: pl.DataFrame, outlook: StockOutlook) -> alt.Chart:
    """Bands, and the axes, which leave room on the right for the courses' names and above for deliveries."""
    domain = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in (outlook.first_date, outlook.last_shown_date)]
    day = _day("stock_date", alt.Scale(type="utc", domain=domain))
    units = _units("stock_p10_qty", alt.Scale(domain=[0, outlook.highest_shown_qty], nice=False))
    area = _chart(shown).mark_area(opacity=theme.BAND_OPACITY, interpolate=_STEPS)
    chart: alt.Chart = area.encode(day, units, alt.Y2("stock_p90_qty:Q"), _color())
    return chart


def _history(history: pl.DataFrame) -> alt.Chart:
    line = _chart(history).mark_line(color=theme.REFERENCE, strokeWidth=2, interpolate=_STEPS)
    tooltip = [_when("stock_date"), _count("on_hand_qty", "Units on hand")]
    chart: alt.Chart = line.encode(_day("stock_date"), _units("on_hand_qty"), tooltip=tooltip)
    return chart


def _medians(shown: pl.DataFrame) -> alt.Chart:
    tooltip = [
        _when("stock_date"),
        alt.Tooltip("course:N", title="Course"),
        _count("stock_p50_qty", "Median units"),
        _count("stock_p10_qty", "p10"),
        _count("stock_p90_qty", "p90"),
    ]
    dash = alt.StrokeDash("course:N", scale=alt.Scale(domain=_COURSES, range=[[1, 0], [5, 4]]), legend=None)
    line = _chart(shown).mark_line(strokeWidth=2.5, interpolate=_STEPS)
    chart: alt.Chart = line.encode(_day("stock_date"), _units("stock_p50_qty"), _color(), dash, tooltip=tooltip)
    return chart


def _names(shown: pl.DataFrame) -> alt.Chart:
    """Each course is named where it ends, so no legend is needed."""
    ends = shown.filter(pl.col("stock_date") == pl.col("stock_date").max())
    text = _chart(ends).mark_text(align="left", baseline="middle", dx=6, fontSize=12, fontWeight=600)
    chart: alt.Chart = text.encode(_day("stock_date"), _units("stock_p50_qty"), _color(), text="course:N")
    return chart


def _now(outlook: StockOutlook) -> alt.LayerChart:
    base = _chart(pl.DataFrame({"stock_date": [outlook.as_of_date], "name": ["as of"]})).encode(_day("stock_date"))
    rule = base.mark_rule(color=theme.REFERENCE, strokeDash=[2, 3])
    text = base.mark_text(color=theme.REFERENCE, align="right", dx=-4, baseline="top", fontSize=11)
    chart: alt.LayerChart = rule + text.encode(y=alt.value(4), text="name:N")
    return chart


def _deliveries(deliveries: pl.DataFrame, *, color: str, top: int) -> alt.LayerChart:
    """What arrives, marked above the day it is expected on, `top` pixels below the chart's upper edge."""
    tooltip = [_when("expected_date"), _count("open_qty", "Units"), alt.Tooltip("kind:N", title="Delivery")]
    named = _chart(deliveries.with_columns(pl.format("+{}", "open_qty").alias("name")))
    base = named.encode(_day("expected_date"), tooltip=tooltip)
    mark = base.mark_point(shape="triangle-down", filled=True, size=80, opacity=1, color=color).encode(y=alt.value(top + 8))
    text = base.mark_text(baseline="bottom", fontSize=11, fontWeight=600, color=color).encode(y=alt.value(top), text="name:N")
    chart: alt.LayerChart = mark + text
    return chart


def _when(name: str) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:T", timeUnit="utcyearmonthdate", title="Day", format="%a %-d %b")


def _count(name: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", title=title, format=",.0f")
