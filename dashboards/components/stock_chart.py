"""An item's stock: what it was, what it is, and what demand and deliveries make of it with and without the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, day_axis, day_tooltip, layered

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.reorder import StockOutlook

HEIGHT: Final = 340
WITH: Final = "With order"
WITHOUT: Final = "Without order"
_COURSES: Final = [WITH, WITHOUT]
_NAME_SHARE: Final = 0.16  # room on the right for the name of the course that ends there
_STEPS: Final = "step-after"  # stock of a day stands until the next day's end
_DELIVERIES: Final = (("under way", theme.INBOUND, 30), ("this order", theme.ACCENT, 54))  # below the name of the as-of day


def stock_chart(outlook: StockOutlook) -> Layers:
    """History in grey; the outlook with the order solid and without it dashed, each with its p10-p90 band; deliveries as triangles.

    The two courses are one until the order arrives, so the dashed one begins there.
    """
    courses = outlook.days.with_columns(pl.when("is_with_order").then(pl.lit(WITH)).otherwise(pl.lit(WITHOUT)).alias("course"))
    shown = courses.filter(pl.col("is_with_order") | (pl.col("stock_date") >= outlook.receipt_date))
    arriving = [
        mark
        for kind, color, top in _DELIVERIES
        if not (of_kind := outlook.deliveries.filter(pl.col("kind") == kind)).is_empty()  # marks of nothing are nameless to a screen reader
        for mark in _deliveries(of_kind, color=color, top=top)
    ]
    layers = [
        _bands(shown, outlook),
        _history(outlook.history),
        _medians(shown),
        *_names(shown),
        *as_of_mark(outlook.as_of_date),
        *arriving,
    ]
    return layered(layers, height=HEIGHT)


def amount_axis(name: str, scale: alt.Scale | None = None, *, title: str = "Units") -> alt.Y:
    """Units from zero up."""
    axis = alt.Axis(format=",.0f", tickCount=5)
    return alt.Y(f"{name}:Q", title=title, scale=scale or alt.Scale(domainMin=0), axis=axis)


def _color() -> alt.Color:
    return alt.Color("course:N", scale=alt.Scale(domain=_COURSES, range=[theme.ACCENT, theme.WARNING]), legend=None)


def _bands(shown: pl.DataFrame, outlook: StockOutlook) -> alt.Chart:
    """Bands, and the axes, which leave room above for deliveries."""
    last = outlook.last_shown_date + (outlook.last_shown_date - outlook.first_date) * _NAME_SHARE
    domain = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in (outlook.first_date, last)]
    day = day_axis("stock_date", alt.Scale(type="utc", domain=domain))
    units = amount_axis("stock_p10_qty", alt.Scale(domain=[0, outlook.highest_shown_qty], nice=False))
    area = as_chart(shown).mark_area(opacity=theme.BAND_OPACITY, interpolate=_STEPS)
    chart: alt.Chart = area.encode(day, units, alt.Y2("stock_p90_qty:Q"), _color())
    return chart


def _history(history: pl.DataFrame) -> alt.Chart:
    line = as_chart(history).mark_line(color=theme.REFERENCE, strokeWidth=2, interpolate=_STEPS)
    tooltip = [day_tooltip("stock_date"), count_tooltip("on_hand_qty", "Units on hand")]
    chart: alt.Chart = line.encode(day_axis("stock_date"), amount_axis("on_hand_qty"), tooltip=tooltip)
    return chart


def _medians(shown: pl.DataFrame) -> alt.Chart:
    tooltip = [
        day_tooltip("stock_date"),
        alt.Tooltip("course:N", title="Course"),
        count_tooltip("stock_p50_qty", "Median units"),
        count_tooltip("stock_p10_qty", "p10"),
        count_tooltip("stock_p90_qty", "p90"),
    ]
    dash = alt.StrokeDash("course:N", scale=alt.Scale(domain=_COURSES, range=[[1, 0], [5, 4]]), legend=None)
    line = as_chart(shown).mark_line(strokeWidth=2.5, interpolate=_STEPS)
    chart: alt.Chart = line.encode(day_axis("stock_date"), amount_axis("stock_p50_qty"), _color(), dash, tooltip=tooltip)
    return chart


def _names(shown: pl.DataFrame) -> list[alt.Chart]:
    """Each course is named inside the chart, so no legend is needed: with the order where it stands highest, without it beside its end."""
    named = shown.group_by("course", maintain_order=True).agg(pl.all().sort_by("stock_p50_qty", "stock_date").last())
    ends = shown.filter(pl.col("stock_date") == pl.col("stock_date").max())
    axes = day_axis("stock_date"), amount_axis("stock_p50_qty")
    look: dict[str, Any] = {"align": "left", "baseline": "bottom", "fontSize": 12, "fontWeight": 600}
    first = as_chart(named.filter(course=WITH)).mark_text(dx=4, dy=-6, **look).encode(*axes, _color(), text="course:N")
    beside = as_chart(ends.filter(course=WITHOUT)).transform_calculate(lines="split(datum.course, ' ')")
    second = beside.mark_text(dx=6, lineHeight=13, **look).encode(*axes, _color(), text="lines:N")
    return [first, second]


def as_of_mark(day: date) -> list[alt.Chart]:
    """A thin line where history ends."""
    base = as_chart(pl.DataFrame({"stock_date": [day], "name": ["as of"]})).encode(day_axis("stock_date"))
    rule = base.mark_rule(color=theme.REFERENCE, strokeDash=[2, 3])
    text = base.mark_text(color=theme.REFERENCE, align="right", dx=-4, baseline="top", fontSize=11)
    return [rule, text.encode(y=alt.YValue(4), text="name:N")]


def _deliveries(deliveries: pl.DataFrame, *, color: str, top: int) -> list[alt.Chart]:
    """What arrives, marked above the day it is expected on, `top` pixels below the chart's upper edge."""
    tooltip = [day_tooltip("expected_date"), count_tooltip("open_qty", "Units"), alt.Tooltip("kind:N", title="Delivery")]
    named = as_chart(deliveries.with_columns(pl.format("+{}", "open_qty").alias("name")))
    base = named.encode(day_axis("expected_date"), tooltip=tooltip)
    mark = base.mark_point(shape="triangle-down", filled=True, size=80, opacity=1, color=color).encode(y=alt.YValue(top + 8))
    text = base.mark_text(baseline="bottom", fontSize=11, fontWeight=600, color=color).encode(y=alt.YValue(top), text="name:N")
    return [mark, text]


def count_tooltip(name: str, title: str) -> alt.Tooltip:
    """Whole units under the pointer."""
    return alt.Tooltip(f"{name}:Q", title=title, format=",.0f")
