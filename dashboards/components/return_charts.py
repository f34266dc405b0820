"""Charts of the page about returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import CLICKED, FORMATS, Layers, as_chart, layered

if TYPE_CHECKING:
    from collections.abc import Mapping

BARS_DRAWN: Final = 15
_ROW_PIXELS: Final = 30


def pareto_chart(frame: pl.DataFrame) -> Layers:
    """Bars of each member's share of all units, most first, and the shares so far as a line on the same axis; bars can be clicked."""
    shown = frame.head(BARS_DRAWN)
    end = min(1.08, 1.2 * float(shown["cumulative_rate"][-1]))
    named = alt.Y("name:N", sort=shown["name"].to_list(), title=None, axis=alt.Axis(labelLimit=180, grid=False))
    axis = alt.Axis(format="%", tickCount=5, grid=True)
    scale = alt.Scale(domain=[0, end], nice=False)
    told = [
        alt.Tooltip("name:N", title="What"),
        alt.Tooltip("returned_qty:Q", format=",", title="Units"),
        alt.Tooltip("share_rate:Q", format=".1%", title="Share"),
        alt.Tooltip("cumulative_rate:Q", format=".1%", title="With all above"),
    ]
    base = as_chart(shown)
    share = alt.X("share_rate:Q", title="Share of units announced as returned", axis=axis, scale=scale)
    bars = base.mark_bar(color=theme.ACCENT, cornerRadiusEnd=2, size=18).encode(share, named, tooltip=told)
    bars = bars.add_params(alt.selection_point(CLICKED, fields=["member"], on="click", empty=False))
    so_far = alt.X("cumulative_rate:Q", title="Share of units announced as returned", axis=axis, scale=scale)
    line = base.mark_line(color=theme.WARNING, strokeWidth=2, point=alt.OverlayMarkDef(size=45, filled=True, color=theme.WARNING)).encode(
        so_far, named, order=alt.Order("cumulative_rate:Q"), tooltip=told
    )
    figures = base.mark_text(align="left", dx=6, dy=-8, color=theme.WARNING, fontSize=11).encode(
        so_far, named, text=alt.Text("cumulative_rate:Q", format=".0%")
    )
    return layered([bars, line, figures], height=_ROW_PIXELS * shown.height + 70)


def stacked_bars(frame: pl.DataFrame, *, part: str, value: str, unit: str, colours: Mapping[str, str]) -> Layers:
    """Per name one bar made of its parts in the order of `colours`, each with its figure in it where it is wide enough, the sum behind.

    Args:
        frame: name, the part and its value; a row per part.
        part: Column that names the parts.
        value: Column of their lengths, none negative.
        unit: Of the value, as metrics have it.
        colours: A colour for each part, in their order.
    """
    rows = frame.with_columns(pl.col(value).cast(pl.Float64).fill_null(0.0), pl.col(part).replace_strict(
        {name: place for place, name in enumerate(colours)}, default=len(colours)).alias("place"))  # fmt: skip
    rows = rows.sort("place", maintain_order=True).with_columns(
        (pl.col(value).cum_sum().over("name") - pl.col(value) / 2).alias("middle"), pl.col(value).sum().over("name").alias("all")
    )
    order = frame["name"].unique(maintain_order=True).to_list()
    named = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False))
    axis = alt.Axis(format=FORMATS[unit], tickCount=5)
    colour = alt.Color(f"{part}:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), title=None,
                       legend=alt.Legend(orient="top", columns=1, labelLimit=0))  # fmt: skip
    told = ["name:N", f"{part}:N", alt.Tooltip(f"{value}:Q", format=FORMATS[unit], title="Value")]
    widest = float(rows["all"].max() or 1.0)  # type: ignore[arg-type]  # a number column
    length = alt.X(f"{value}:Q", stack="zero", title=None, axis=axis, scale=alt.Scale(domain=[0, 1.15 * widest], nice=False))
    bars = as_chart(rows).mark_bar(size=24).encode(length, named, colour, alt.Order("place:Q"), tooltip=told)
    inside = as_chart(rows.filter(pl.col(value) >= 0.1 * widest)).mark_text(fontSize=12, color="#FFFFFF", fontWeight=600).encode(
        alt.X("middle:Q"), named, text=alt.Text(f"{value}:Q", format=FORMATS[unit])
    )  # fmt: skip
    is_alone = (pl.col(value) == pl.col("all")) & (pl.col(value) >= 0.1 * widest)  # its figure stands in the bar already
    ends = as_chart(rows.filter(~is_alone.any().over("name")).unique("name", maintain_order=True))
    sums = ends.mark_text(align="left", dx=5, fontSize=12, color=theme.REFERENCE).encode(
        alt.X("all:Q"), named, text=alt.Text("all:Q", format=FORMATS[unit])
    )  # fmt: skip
    return layered([bars, inside, sums], height=44 * len(order) + 70 + 18 * len(colours))
