"""Where open orders stand and for how long, and what became of those that something blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, layered
from dashboards.components.formats import format_count, format_money

if TYPE_CHECKING:
    from dashboards.queries.orders import Backlog

_ROW_PIXELS: Final = 44
_PARTS: Final = {
    "lost": ("lost", theme.WARNING),
    "open": ("still blocked", theme.REFERENCE),
    "released": ("went on after all", theme.INBOUND),
}


def heat_chart(cells: pl.DataFrame) -> Layers:
    """A cell per stage and age with its number of orders, darker where there are more; its text stands out on either shade.

    Args:
        cells: `Backlog.by_stage_and_age`.
    """
    short = pl.col("age_band").str.replace(" days and more", "+", literal=True).str.replace(" days", "", literal=True)
    cells = cells.with_columns(short.alias("age"))
    ages = cells.select("age_from_days", "age").unique().sort("age_from_days")["age"].to_list()
    stages = cells.select("stage_number", "stage").unique().sort("stage_number")["stage"].to_list()
    most = max(cells["orders_count"], default=1)
    base = as_chart(cells).encode(
        alt.X("age:N", sort=ages, title="Age (days)", axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False)),
        alt.Y("stage:N", sort=stages, title=None, axis=alt.Axis(labelLimit=170, domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("stage:N", title="Stage"), alt.Tooltip("age_band:N", title="Age"),
            alt.Tooltip("orders_count:Q", title="Orders", format=",.0f"), alt.Tooltip("overdue_count:Q", title="Overdue", format=",.0f"),
            alt.Tooltip("open_reporting_amount:Q", title="Worth", format=",.0f"),
        ],
    )  # fmt: skip
    shade = alt.Color(
        "orders_count:Q", scale=alt.Scale(type="sqrt", domain=[0, most], range=[theme.CELL_LEAST, theme.CELL_MOST]), legend=None
    )
    ink = alt.condition(alt.datum.orders_count > most * theme.CELL_INK_TURNS, alt.value("white"), alt.value("black"))
    cell = base.mark_rect(cornerRadius=3, stroke=None).encode(shade)
    text = base.mark_text(fontSize=14, fontWeight=600).encode(color=ink, text=alt.Text("orders_count:Q", format=",.0f"))
    return layered([cell, text], height=_ROW_PIXELS * len(stages) + 40)


def backlog_title(found: Backlog) -> str:
    """The answer: how many are open, how many of them past their promise, and at which stage most of those stand."""
    stages = found.by_stage
    count, overdue = int(stages["orders_count"].sum()), int(stages["overdue_count"].sum())
    if not overdue:
        return f"{format_count(count, 'order')} {'stands' if count == 1 else 'stand'} open, none past its promised day"
    worst = stages.sort("overdue_count", descending=True).row(0, named=True)
    most = "" if stages.height == 1 else f", {worst['overdue_count']:,} of these {overdue:,} at the stage “{worst['stage']}”"
    return f"{overdue:,} of {format_count(count, 'open order')} {'is' if overdue == 1 else 'are'} past the promised day{most}"


def blocked_chart(parts: pl.DataFrame, currency_code: str) -> Layers:
    """A bar per cause, as long as what it blocked, split into what is lost, still blocked and went on.

    Args:
        parts: As `queries.orders.blocked` gives it.
        currency_code: Of the amounts.
    """
    said = pl.col("part").replace({name: words for name, (words, _) in _PARTS.items()})
    shown = parts.with_columns(
        said.alias("became"), pl.col("cause").replace(_NAMES).alias("name"), pl.col("part").replace_strict(_RANKS).alias("rank")
    )
    order = shown.group_by("name").agg(pl.col("amount").sum()).sort("amount", descending=True)["name"].to_list()
    color = alt.Color(
        "became:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=[words for words, _ in _PARTS.values()], range=[color for _, color in _PARTS.values()]),
    )  # fmt: skip
    bars = as_chart(shown).mark_bar(stroke=None).encode(
        alt.X("sum(amount):Q", title=currency_code, axis=alt.Axis(format=",.0f", tickCount=5), scale=alt.Scale(zero=True)),
        alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=140, grid=False)),
        color, order=alt.Order("rank:Q"),
        tooltip=[alt.Tooltip("name:N", title="Cause"), alt.Tooltip("became:N", title="Became"),
                 alt.Tooltip("sum(amount):Q", title=currency_code, format=",.0f")],
    )  # fmt: skip
    return layered([bars], height=_ROW_PIXELS * len(order) + 70)


def blocked_title(parts: pl.DataFrame, currency_code: str) -> str:
    """The answer: what was blocked, what of it is lost, and the cause that lost most."""
    whole, lost = float(parts["amount"].sum()), parts.filter(pl.col("part") == "lost").sort("amount", descending=True)
    title = f"Of {format_money(whole, currency_code)} blocked, {format_money(float(lost['amount'].sum()), currency_code)} is lost"
    worst = lost.row(0, named=True)
    return f"{title}, most of it to {_LOST_TO.get(worst['cause'], worst['cause'])}" if worst["amount"] else title


_NAMES: Final = {"payment_hold": "Payment hold", "no_product": "Product gone", "no_stock": "No stock"}
_LOST_TO: Final = {"payment_hold": "payment holds", "no_product": "products that are gone", "no_stock": "missing stock"}
_RANKS: Final = {name: place for place, name in enumerate(_PARTS)}
