"""Charts of the page about customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import FORMATS, HEIGHT, Layers, as_chart, axis_format, layered

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW_PIXELS: Final = 21
_LABEL_FITS: Final = 24  # pixels a cell needs for its figure; narrower cells speak by colour, the pointer and the table alone
# Cells are opaque and carry black or white figures of 4.5:1 and more, so they read the same in both themes.
_PALE, _DEEP = "#D3E5F2", "#08436B"
_DARK_ABOVE: Final = 0.62  # of the range from least to most: cells are dark enough for white figures
_SHAPES: Final = ["square", "diamond", "circle"]  # of a bar and the marks on it
# From worst to best score, told apart without colour by their place and figure.
_SCORE_COLORS: Final = ("#B34700", "#E08A4A", "#9AA3AB", "#6FA9D2", "#1F6FA8")


def cohort_map(frame: pl.DataFrame, *, value: str, unit: str) -> Layers:
    """A triangle: a row per cohort, oldest on top, a column per month since, the deeper the more; unfinished months have a dashed edge.

    Args:
        frame: cohort, months_since_first, is_complete, and what is drawn; money in major units.
        value: Column that is drawn; rates are 0-1 and written as whole percent.
        unit: percent or money.
    """
    is_rate = unit == "percent"
    shown = frame.drop_nulls(value).with_columns(
        pl.col(value).cast(pl.Float64), (pl.col(value).cast(pl.Float64) * (100 if is_rate else 1)).round(0).alias("figure")
    )
    cohorts = shown["cohort"].unique(maintain_order=True).to_list()
    least, most = float(shown[value].min() or 0.0), float(shown[value].max() or 0.0)  # type: ignore[arg-type]  # a number column
    dark_from = least + _DARK_ABOVE * (most - least)
    base = as_chart(shown).encode(
        alt.X("months_since_first:O", title="Months since the first order", axis=alt.Axis(orient="top", labelAngle=0, grid=False)),
        alt.Y("cohort:N", sort=cohorts, title=None, axis=alt.Axis(labelLimit=160, grid=False, labelOverlap=False, labelFlush=False)),
    )
    told = [
        alt.Tooltip("cohort:N", title="First order in, customers"),
        alt.Tooltip("months_since_first:Q", title="Months since"),
        alt.Tooltip(f"{value}:Q", format=FORMATS[unit], title="Ordered again" if is_rate else "Net sales so far, each"),
        alt.Tooltip("is_complete:N", title="Month is over"),
    ]
    colour = alt.Color(f"{value}:Q", scale=alt.Scale(range=[_PALE, _DEEP], interpolate="rgb"), legend=None)
    whole = base.transform_filter("datum.is_complete").mark_rect().encode(colour, tooltip=told)
    unfinished = base.transform_filter("!datum.is_complete").mark_rect(stroke=theme.WARNING, strokeWidth=1.5, strokeDash=[3, 2])
    figures = base.mark_text(fontSize=11).encode(
        text=alt.Text("figure:Q", format=",.0f"),
        color=alt.when(f"datum['{value}'] > {dark_from}").then(alt.value("#FFFFFF")).otherwise(alt.value("#0F1720")),
        opacity=alt.when(f"bandwidth('x') >= {_LABEL_FITS}").then(alt.value(1)).otherwise(alt.value(0)),
        tooltip=told,
    )
    return layered([whole, unfinished.encode(colour, tooltip=told), figures], height=_ROW_PIXELS * len(cohorts) + 40)


def next_order_curves(frame: pl.DataFrame) -> Layers:
    """The share that ordered again by days since an order, a line per place of that order, named at its end."""
    base = as_chart(frame)
    colour = alt.Color("after:N", scale=alt.Scale(range=[theme.ACCENT, theme.INBOUND, theme.WARNING]), sort=None, legend=None)
    when = alt.X("days_since_order:Q", title="Days since the order", scale=alt.Scale(domain=[0, 364], nice=False),
                 axis=alt.Axis(grid=False, values=list(range(0, 365, 91))))  # fmt: skip
    rate = alt.Y("ordered_again_rate:Q", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1]))
    told = [
        alt.Tooltip("after:N", title="After the"),
        alt.Tooltip("days_since_order:Q", title="Days"),
        alt.Tooltip("ordered_again_rate:Q", format=".1%", title="Ordered again"),
        alt.Tooltip("at_risk_count:Q", format=",", title="Still watched"),
    ]
    dashes = alt.StrokeDash("after:N", scale=alt.Scale(range=[[1, 0], [6, 3], [2, 2]]), sort=None, legend=None)
    lines = base.mark_line(strokeWidth=2.5).encode(when, rate, colour, dashes, tooltip=told)
    names = base.transform_filter("datum.days_since_order == 364").mark_text(align="right", dy=-8, fontSize=12).encode(
        when, rate, colour, text=alt.Text("after:N")
    )  # fmt: skip
    return layered([lines, names], height=HEIGHT)


def alive_histogram(frame: pl.DataFrame, *, threshold: float) -> Layers:
    """Judged customers by how likely they are still there; those below the threshold count as having left."""
    base = as_chart(frame)
    bars = base.mark_rect(xOffset=1, x2Offset=-1).encode(
        alt.X("alive_from_rate:Q", title="Probability that the customer is still there",
              axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], grid=False), scale=alt.Scale(domain=[0, 1])),
        alt.X2("alive_to_rate:Q"),
        alt.Y("customers_count:Q", title="Customers", axis=alt.Axis(format=",.0f", tickCount=5), scale=alt.Scale(zero=True)),
        alt.Y2(datum=0),
        color=alt.when("datum.is_churned").then(alt.value(theme.WARNING)).otherwise(alt.value(theme.INBOUND)),
        tooltip=[alt.Tooltip("alive_from_rate:Q", format=".0%", title="From"), alt.Tooltip("alive_to_rate:Q", format=".0%", title="To"),
                 alt.Tooltip("customers_count:Q", format=",", title="Customers")],
    )  # fmt: skip
    words = alt.Chart(pl.DataFrame({"at": [threshold], "left": ["probably left"], "there": ["probably still there"]})).encode(alt.X("at:Q"))
    rule = words.mark_rule(color=theme.REFERENCE, strokeWidth=2)
    left = words.mark_text(align="right", baseline="top", fontSize=12, color=theme.WARNING, dx=-6).encode(y=alt.YValue(0), text="left:N")
    there = words.mark_text(align="left", baseline="top", fontSize=12, color=theme.INBOUND, dx=6).encode(y=alt.YValue(0), text="there:N")
    return layered([bars, rule, left, there], height=HEIGHT)


def measures_chart(
    frame: pl.DataFrame, measures: Sequence[tuple[str, str, str]], *, unit: str, member: str = "name", row_pixels: int = 34
) -> Layers:
    """Per member a bar for the first measure and marks of different shape for the others, with a legend of these shapes.

    Args:
        frame: One row per member, in the order in which they stand.
        measures: Column, what it is called, colour; the first is the bar.
        unit: Of all of them.
        member: Column that names the rows.
        row_pixels: Height of a row.
    """
    order = frame[member].to_list()
    names = [name for _, name, _ in measures]
    legend = alt.Legend(orient="top", columns=1, labelLimit=0, symbolSize=100)
    look = (
        alt.X("value:Q", title=None, axis=alt.Axis(format=axis_format(unit), tickCount=5, grid=True), scale=alt.Scale(zero=True)),
        alt.Y(f"{member}:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False)),
        alt.Color("measure:N", scale=alt.Scale(domain=names, range=[colour for *_, colour in measures]), title=None, legend=legend),
    )
    shape = alt.Shape("measure:N", scale=alt.Scale(domain=names, range=_SHAPES[: len(names)]), title=None, legend=legend)
    told = [f"{member}:N", "measure:N", alt.Tooltip("value:Q", format=FORMATS[unit], title="Value")]
    bar, *marks = (
        as_chart(frame.select(member, pl.col(column).cast(pl.Float64).alias("value"), pl.lit(name).alias("measure")))
        for column, name, _ in measures
    )
    layers = [bar.mark_bar(cornerRadiusEnd=2, height=row_pixels // 2).encode(*look, tooltip=told)]
    layers += [mark.mark_point(filled=True, size=120, opacity=1).encode(*look, shape, tooltip=told) for mark in marks]
    return layered(layers, height=row_pixels * frame.height + 60 + 18 * len(measures))


def score_bars(frame: pl.DataFrame) -> Layers:
    """Per lateness the shares of the scores 1 to 5, worst at the left, each share of 6 % and more written into its part."""
    order = frame["lateness"].unique(maintain_order=True).to_list()
    named = alt.Y("lateness:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False))
    share = alt.X("score_rate:Q", stack="zero", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1]))
    colour = alt.Color("score:O", scale=alt.Scale(domain=[1, 2, 3, 4, 5], range=list(_SCORE_COLORS)), title="Score, 1 is worst",
                       legend=alt.Legend(orient="top"))  # fmt: skip
    told = [
        "lateness:N", alt.Tooltip("score:Q", title="Score"), alt.Tooltip("score_rate:Q", format=".1%", title="Share"),
        alt.Tooltip("reviews_count:Q", format=",", title="Reviews"),
    ]  # fmt: skip
    bars = as_chart(frame).mark_bar(size=26).encode(share, named, colour, alt.Order("score:Q"), tooltip=told)
    middles = frame.with_columns((pl.col("score_rate").cum_sum().over("lateness") - pl.col("score_rate") / 2).alias("middle"))
    figures = as_chart(middles.filter(pl.col("score_rate") >= 0.06)).mark_text(fontSize=12).encode(
        alt.X("middle:Q"), named, text=alt.Text("score_rate:Q", format=".0%"),
        color=alt.when("datum.score == 1 || datum.score == 5").then(alt.value("#FFFFFF")).otherwise(alt.value("#0F1720")),
    )  # fmt: skip
    return layered([bars, figures], height=46 * len(order) + 90)
