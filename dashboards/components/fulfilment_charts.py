"""How orders went: stages that sum, three fill rates beside each other, arrivals against promises, the backlog's past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import HEIGHT, Layers, as_chart, day_axis, day_tooltip, layered
from dashboards.components.formats import format_count, format_days, format_percent
from dashboards.queries.fulfilment import EARLIEST_DAYS, LATEST_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.queries.fulfilment import Stages

_BAR_PIXELS: Final = 34
_STAGE_COLORS: Final = (theme.REFERENCE, theme.WARNING, theme.ACCENT, theme.INBOUND)
_RATES: Final = {"Orders": ("square", theme.WARNING), "Lines": ("circle", theme.ACCENT), "Units": ("diamond", theme.INBOUND)}
_ARRIVALS: Final = {
    "on time": ("On time", theme.ACCENT), "late": ("Late", theme.WARNING), "not arrived": ("Not arrived", theme.REFERENCE),
    "closed": ("Closed without arriving", theme.CAUTION),
}  # fmt: skip
_ENDS: Final = {f"{EARLIEST_DAYS}": f"{EARLIEST_DAYS} or less", f"+{LATEST_DAYS}": f"+{LATEST_DAYS} or more"}


def stages_chart(found: Stages, labels: Sequence[str]) -> Layers:
    """A bar per member, as long as its mean cycle time, split into the stages that sum to it; everything first."""
    order = found.totals["name"].to_list()
    scale = alt.Scale(domain=list(labels), range=list(_STAGE_COLORS))
    ranked = found.means.with_columns(pl.col("stage").replace_strict({label: place for place, label in enumerate(labels)}).alias("rank"))
    named = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False))
    longest = max(found.totals["days"].drop_nulls(), default=1.0)
    bars = as_chart(ranked).mark_bar(stroke=None).encode(
        alt.X("sum(days):Q", title="Mean days", axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[0, 1.08 * longest], nice=False)), named,
        alt.Color("stage:N", scale=scale, sort=list(labels), title=None, legend=alt.Legend(orient="top", columns=2)),
        order=alt.Order("rank:Q"),
        tooltip=[
            alt.Tooltip("name:N", title="Who"), alt.Tooltip("stage:N", title="Stage"),
            alt.Tooltip("days:Q", title="Mean days", format=".2f"),
        ],
    )  # fmt: skip
    text = as_chart(found.totals).mark_text(align="left", dx=5, fontSize=12).encode(
        alt.X("days:Q"), named, text=alt.Text("days:Q", format=".1f"), color=alt.ColorValue(theme.REFERENCE)
    )  # fmt: skip
    return layered([bars, text], height=_BAR_PIXELS * len(order) + 90)


def stages_title(found: Stages) -> str:
    """The answer: how long an order takes on average, and its longest stage."""
    total = found.totals.row(0, named=True)
    longest = found.means.filter(pl.col("member") == "").sort("days", descending=True).row(0, named=True)
    return (
        f"An order takes {format_days(total['days'])} on average, {format_days(longest['days'])} of them from {_lowered(longest['stage'])}"
    )


def fill_chart(rates: pl.DataFrame) -> Layers:
    """A row per member with its order, line and unit fill rate, each a shape of its own."""
    order = rates.filter(pl.col("rate_of") == rates["rate_of"][0]).sort("value")["name"].to_list()
    domain = list(_RATES)
    named = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=True))
    value = alt.X("value:Q", title=None, axis=alt.Axis(format=".0%", tickCount=6), scale=alt.Scale(zero=False, padding=20))
    tooltip = [
        alt.Tooltip("name:N", title="Who"), alt.Tooltip("rate_of:N", title="Share of"),
        alt.Tooltip("value:Q", title="Filled", format=".1%"), alt.Tooltip("n:Q", title="n", format=",.0f"),
    ]  # fmt: skip
    points = as_chart(rates).mark_point(filled=True, size=130, opacity=1).encode(
        value, named, tooltip=tooltip,
        color=alt.Color("rate_of:N", scale=alt.Scale(domain=domain, range=[color for _, color in _RATES.values()]), title=None,
                        legend=alt.Legend(orient="top")),
        shape=alt.Shape("rate_of:N", scale=alt.Scale(domain=domain, range=[shape for shape, _ in _RATES.values()]), title=None),
    )  # fmt: skip
    return layered([points], height=_BAR_PIXELS * len(order) + 80)


def arrivals_chart(arrivals: pl.DataFrame) -> Layers:
    """A bar per day before or after the promise; late is told by colour and word, what has not arrived or never will at the right end."""
    days = pl.col("late_days")
    signed = pl.when(days > 0).then(pl.format("+{}", days)).otherwise(days.cast(pl.String))
    shown = arrivals.with_columns(
        pl.coalesce(signed.replace(_ENDS), "arrival").alias("when"),
        pl.col("arrival").replace_strict({arrival: word for arrival, (word, _) in _ARRIVALS.items()}).alias("kind"),
    )
    order = shown.sort("late_days", "arrival", descending=[False, True], nulls_last=True)["when"].to_list()
    words, colors = zip(*(one for arrival, one in _ARRIVALS.items() if arrival in shown["arrival"]), strict=True)
    scale = alt.Scale(domain=words, range=colors)
    bars = as_chart(shown).mark_bar(cornerRadiusEnd=2, stroke=None).encode(
        alt.X("when:N", sort=order, title="Days after the promised day; below 0 early", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        alt.Y("orders_count:Q", title="Orders", axis=alt.Axis(format=",.0f", tickCount=5)),
        alt.Color("kind:N", scale=scale, title=None, legend=alt.Legend(orient="top")),
        tooltip=[alt.Tooltip("when:N", title="Arrived"), alt.Tooltip("orders_count:Q", title="Orders", format=",.0f")],
    )  # fmt: skip
    return layered([bars], height=HEIGHT)


def arrivals_title(arrivals: pl.DataFrame) -> str:
    """The answer: how many came by the promised day, how many later, how many have not arrived, and how many never will."""
    count = dict(arrivals.group_by("arrival").agg(pl.col("orders_count").sum()).iter_rows())
    whole = sum(count.values())
    said = [
        f"{format_percent(count.get('on time', 0) / whole)} came by the promised day",
        f"{count.get('late', 0):,} of {format_count(whole, 'order')} later",
        f"{count.get('not arrived', 0):,} not arrived",
        *([f"{count['closed']:,} closed without arriving"] if "closed" in count else []),
    ]
    return ", ".join(said)


def backlog_chart(days: pl.DataFrame, ages: Sequence[str]) -> Layers:
    """What stood open at the end of each day, by age, the oldest on the ground in the warning colour."""
    colors = [theme.REFERENCE, theme.ACCENT, theme.INBOUND, theme.CAUTION, theme.WARNING][-len(ages) :]
    order = {age: place for place, age in enumerate(reversed(ages))}
    shown = days.drop_nulls("value").with_columns(pl.col("age_band").replace_strict(order).alias("rank"))
    bars = as_chart(shown).mark_bar(stroke=None, binSpacing=0).encode(
        day_axis("period_from"), alt.Y("value:Q", title="Open orders", axis=alt.Axis(format=",.0f", tickCount=5)),
        alt.Color("age_band:N", title=None, scale=alt.Scale(domain=list(ages), range=colors), legend=alt.Legend(orient="top", columns=3)),
        order=alt.Order("rank:Q"),
        tooltip=[day_tooltip("period_from"), alt.Tooltip("age_band:N", title="Age"), alt.Tooltip("value:Q", title="Orders", format=",.0f")],
    )  # fmt: skip
    return layered([bars], height=HEIGHT + 60)


def backlog_title(days: pl.DataFrame) -> str:
    """The answer: how many stand open now, against the mean of the days shown."""
    daily = days.drop_nulls("value").group_by("period_from").agg(pl.col("value").sum()).sort("period_from")
    now, usual = daily["value"][-1], daily["value"].sum() / daily.height
    return f"{format_count(round(now), 'order')} stood open at the end of the last day; {usual:,.0f} on average over {daily.height:,} days"


def _lowered(stage: str) -> str:
    return stage[:1].lower() + stage[1:]
