"""The charts of the pages: one grammar, one question each, the answer in the title, a table twin and an export behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import altair as alt
import polars as pl
import polars.selectors as cs
import streamlit as st

from dashboards import theme
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

HEIGHT: Final = 260
CLICKED: Final = "clicked"
_BAR_PIXELS: Final = 26
_MOST_BARS: Final = 15
_FIGURE_SHARE: Final = 0.04  # of a phone's plot, that one character of a bar's figure takes
# A percent sign stands apart, as in sentences. Names of bands stay in their middle: the theme would push the first and last one inwards.
CONFIG: Final = {
    "locale": {"number": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": "\u00a0%"}},
    "axisBand": {"labelFlush": False},
}
FORMATS: Final = {"percent": ".1%", "money": ",.0f", "days": ",.1f", "hours": ",.1f", "minutes": ",.1f", "number": ",.1f", "count": ",.0f"}


def chart_block(
    chart: Layers,
    *,
    title: str,
    alt_text: str,
    frame: pl.DataFrame,
    name: str,
    as_of: date,
    filters: Mapping[str, Any],
    definitions: Mapping[str, str],
    caption: str = "",
    columns: Sequence[str] = (),
    labels: Mapping[str, Any] | None = None,
    clicked: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """A chart under its answer, with what the reader should know, and the same as a table with its export.

    `clicked` is called with the fields of a mark that a reader clicks; the chart then has a point selection `CLICKED`.
    """
    st.markdown(f"**{title}**")
    if clicked is None:
        draw(chart, alt_text=alt_text)
    else:
        key = f"chart-{name}"
        draw(chart, alt_text=alt_text, key=key, selection=CLICKED, on_select=lambda: _tell(key, clicked))
    if caption:
        st.caption(caption)
    with st.expander("The chart as a table", icon=":material/table:"):
        data_table(frame, name=name, as_of=as_of, alt=alt_text, columns=columns, labels=labels, filters=filters, definitions=definitions)


def draw(
    chart: Layers, *, alt_text: str, key: str | None = None, selection: str | None = None, on_select: Callable[[], None] | None = None
) -> None:
    """The chart on the page; `on_select` is called once a reader has changed its `selection`, which then stands in the state at `key`."""
    drawn = cast("alt.Chart", chart)  # of a chart, Streamlit uses nothing but `to_dict`
    if on_select is None:
        st.altair_chart(drawn, alt=alt_text, key=key)
    else:
        st.altair_chart(drawn, alt=alt_text, key=key, on_select=on_select, selection_mode=selection)


@dataclass(frozen=True, slots=True)
class Layers:
    """A chart whose layers Altair made; `to_dict` puts their specifications together.

    `alt.LayerChart` would copy every layer at every step and hold the whole against Vega-Lite's schema: five times the time.
    """

    layers: Sequence[alt.Chart]
    properties: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The Vega-Lite specification, its data by name, and what readers may select at its head, where Streamlit looks for it."""
        datasets: dict[str, Any] = {}
        within = {"top_level": False, "datasets": datasets}
        layers = [layer.to_dict(validate=False, context=dict(within)) for layer in self.layers]
        params = []
        for place, layer in enumerate(layers):
            for param in layer.pop("params", ()):
                layer["name"] = f"layer_{place}"
                params.append(param | {"views": [layer["name"]]})
        return {"config": CONFIG, "layer": layers, "datasets": datasets, **({"params": params} if params else {}), **self.properties}


def layered(layers: Sequence[alt.Chart], **properties: Any) -> Layers:
    """The layers over each other, the first at the bottom.

    Args:
        layers: Charts of one mark each.
        properties: Of the whole, such as its height.
    """
    return Layers(layers, properties)


def _tell(key: str, clicked: Callable[[Mapping[str, Any]], None]) -> None:
    for mark in st.session_state[key]["selection"][CLICKED]:
        clicked(mark)


def bar_chart(
    frame: pl.DataFrame, *, value: str, unit: str, member: str = "name", compared: str | None = None, unit_title: str = ""
) -> Layers:
    """Horizontal bars from zero in the frame's order, each with its figure at its end; a grey tick shows what it is compared with.

    Args:
        frame: At most `_MOST_BARS` rows are drawn; the table twin has all.
        value: Column of the bars' length; rates are 0-1.
        unit: Of the value, as metrics have it.
        member: Column that names the bars.
        compared: Column of the same value in the period before.
        unit_title: What the axis says; default is the unit.
    """
    ends = [value, *([compared] if compared else [])]
    shown = frame.head(_MOST_BARS).with_columns(pl.max_horizontal(ends).alias("label_at"))
    longest = max([float(end or 0) for end in shown["label_at"]], default=1.0)
    written = max([len(f"{float(end or 0):{FORMATS.get(unit, ',.1f')}}") for end in shown[value]], default=1)
    end = longest / max(0.4, 1 - _FIGURE_SHARE * written) or 1.0
    order = shown[member].to_list()
    axis = alt.Axis(format=axis_format(unit), tickCount=5, grid=True)
    named = alt.Y(f"{member}:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False, labelOverlap=False))
    base = as_chart(shown)
    said = alt.Tooltip(f"{value}:Q", format=FORMATS.get(unit, ",.1f"), title="Value")
    length = alt.X(f"{value}:Q", title=unit_title or None, axis=axis, scale=alt.Scale(domain=[0, end], nice=False))
    bars = base.mark_bar(color=theme.ACCENT, cornerRadiusEnd=2).encode(length, named, tooltip=[f"{member}:N", said])
    text = base.mark_text(align="right", color=theme.REFERENCE, fontSize=12).encode(
        named, x=alt.XValue("width"), text=alt.Text(f"{value}:Q", format=FORMATS.get(unit, ",.1f"))
    )
    layers = [bars, text]
    if compared:
        before = alt.Tooltip(f"{compared}:Q", format=FORMATS.get(unit, ",.1f"), title="Before")
        ticks = base.mark_tick(color=theme.REFERENCE, thickness=3, size=18)
        layers.insert(1, ticks.encode(alt.X(f"{compared}:Q"), named, tooltip=[f"{member}:N", before]))
    return layered(layers, height=_BAR_PIXELS * shown.height + 70)


def time_chart(
    frame: pl.DataFrame, *, value: str, unit: str, day: str = "period_from", compared: str | None = None, target: float | None = None
) -> Layers:
    """A line through time; what is not complete yet is dashed, the comparison grey, the target a thin line with its name.

    Args:
        frame: One row per bucket; `is_complete` (boolean) where buckets may be unfinished.
        value: Column of the line; rates are 0-1.
        unit: Of the value, as metrics have it.
        day: Column of the bucket's first day.
        compared: Column of the comparison, such as the same weeks a year before.
        target: Where to aim.
    """
    axis = alt.Axis(format=axis_format(unit), tickCount=5)
    scale = alt.Scale(zero=unit in {"money", "count"}, nice=True)
    when = day_axis(day)
    said = alt.Tooltip(f"{value}:Q", format=FORMATS.get(unit, ",.1f"), title="Value")
    layers: list[alt.Chart] = []
    if compared and frame[compared].drop_nulls().len():
        grey = as_chart(frame).mark_line(color=theme.REFERENCE, strokeWidth=1.5, opacity=0.7)
        before = alt.Tooltip(f"{compared}:Q", format=FORMATS.get(unit, ",.1f"), title="Year before")
        layers.append(grey.encode(when, alt.Y(f"{compared}:Q", scale=scale, axis=axis, title=None), tooltip=[day_tooltip(day), before]))
    # Each layer has an axis of its own, for the target's on the right; the first one's serves all others.
    how_much = alt.Y(f"{value}:Q", title=None, axis=None if layers else axis, scale=scale)
    whole, unfinished = _parts(frame)
    solid = as_chart(whole).mark_line(color=theme.ACCENT, strokeWidth=2.5, point=whole.height < 20)
    layers.append(solid.encode(when, how_much, tooltip=[day_tooltip(day), said]))
    if unfinished.height:
        dashed = as_chart(unfinished).mark_line(color=theme.ACCENT, strokeWidth=2, strokeDash=[4, 3], point=True)
        layers.append(dashed.encode(when, alt.Y(f"{value}:Q", title=None, axis=None, scale=scale), tooltip=[day_tooltip(day), said]))
    if target is not None:
        layers.append(_target(target, unit, scale))
    return layered(layers, height=HEIGHT, resolve={"axis": {"y": "independent"}})


def axis_format(unit: str) -> str:
    """Of an axis's numbers; percent with as many decimals as its steps need."""
    return "%" if unit == "percent" else FORMATS.get(unit, ",.1f")


def as_chart(frame: pl.DataFrame) -> alt.Chart:
    """The frame with its days as ISO text: a browser takes dates of a frame for midnights of its own zone, text for UTC's."""
    return alt.Chart(frame.with_columns(cs.date().dt.to_string(), cs.decimal().cast(pl.Float64)))


def day_axis(name: str, scale: alt.Scale | None = None) -> alt.X:
    """Days are days: read and shown in UTC, so that no reader's zone moves them."""
    axis = alt.Axis(format="%-d %b", grid=False, tickCount=8, labelOverlap=True)
    return alt.X(f"{name}:T", timeUnit="utcyearmonthdate", title=None, axis=axis, scale=scale or alt.Scale(type="utc"))


def day_tooltip(name: str) -> alt.Tooltip:
    """The day under the pointer."""
    return alt.Tooltip(f"{name}:T", timeUnit="utcyearmonthdate", title="Day", format="%a %-d %b %Y")


def _parts(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is complete, and the unfinished end with the last complete bucket, so that the line goes on; not an unfinished beginning."""
    if "is_complete" not in frame.columns or frame["is_complete"].all():
        return frame, frame.clear()
    whole = frame.filter(pl.col("is_complete"))
    places = frame.with_row_index().filter(pl.col("is_complete"))["index"]
    return whole, frame.slice(places[-1] if places.len() else 0)


def _target(target: float, unit: str, scale: alt.Scale) -> alt.Chart:
    """A thin line named beside the plot, where no course can cross its name."""
    said = alt.Axis(
        orient="right", values=[target], labelExpr=f"'Target ' + format(datum.value, '{FORMATS.get(unit, ',.1f')}')", ticks=False,
        domain=False, grid=False, title=None,
    )  # fmt: skip
    rule = alt.Chart(pl.DataFrame({"target": [target]})).mark_rule(color=theme.REFERENCE, strokeDash=[2, 3])
    chart: alt.Chart = rule.encode(alt.Y("target:Q", axis=said, scale=scale))
    return chart
