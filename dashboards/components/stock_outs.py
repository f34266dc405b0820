"""What runs out when, and what is suggested about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, draw, layered
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import format_count, format_money, format_units
from dashboards.components.tables import data_table
from dashboards.queries.stock import MISSED, OUT_NOW, USED_UP

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.stock import Projection

HORIZONS: Final = (7, 14, 28, 56)
_COVERED, _OPEN = "A suggestion covers it", "Nothing is suggested"
_COLUMNS: Final = (
    "runs_out_date", "basis", "sku", "location", "covered", "at_risk", "available_qty", "inbound_qty", "next_inbound_date", "title",
    "reason",
)  # fmt: skip
_DEFINITIONS: Final = {
    "runs_out_date": "When stock ends without a new order, deliveries under way counted in; the basis says what day it is.",
    "basis": f"{OUT_NOW}: the as-of date. {USED_UP}: the first day at whose end the median of the simulated stock is below one unit; known "
    f"where an order is suggested. {MISSED}: the last day before the median course misses a sale, past the simulated days reckoned at "
    "the mean demand; for a slow item later than the day of its last unit. It stands where no order is suggested, or where stock outlasts "
    "the simulated days of the order.",
    "at_risk": "Margin expected to be lost if nothing is ordered before the next review.",
    "covered": "An order, a transfer, an earlier delivery or a sharing. Where nothing is suggested, the policy accepts the chance "
    "to run out, or the next review still comes in time.",
}


def stock_out_list(
    served: Served, found: Projection, within: int, filters: Filters, *, is_uncovered: bool, opens: Callable[[dict[str, Any]], None]
) -> None:
    """Items that run out within so many days, soonest first, by week as bars and one by one; listed all, or those nothing covers."""
    rows = found.within(within)
    st.markdown(f"**{stock_out_title(rows, within)}**")
    if rows.height:
        draw(_by_week(rows), alt_text="Items at locations by the time in which they run out, with and without a suggestion")
        rows = rows.filter(~pl.col("is_covered")) if is_uncovered else rows
        word = pl.when("is_covered").then(pl.format("✓ {}", "answer")).otherwise(pl.lit("✗ Nothing")).alias("covered")
        codes = "/".join(rows["currency_code"].drop_nulls().unique().sort()) or served.context.currency_code
        st.caption("Soonest first, most margin at risk before others. Click a row to open the item.")
        data_table(
            rows.with_columns(word), name="runs-out", as_of=served.context.as_of_date, alt="Items that run out, soonest first",
            columns=_COLUMNS, opens=opens,
            filters=filters.as_export() | {"within": f"{within} days"}, definitions=COLUMN_WORDS | _DEFINITIONS,
            labels={"runs_out_date": "Runs out", "basis": "Basis", "title": "Title", "location": "Location",
                    "available_qty": "Free (units)", "inbound_qty": "Under way (units)", "next_inbound_date": "Next delivery",
                    "at_risk": f"At risk ({codes})", "covered": "Suggested",
                    "reason": st.column_config.TextColumn("What the plan says", width="large")},
        )  # fmt: skip
    st.caption(unjudged_words(found))


def stock_out_title(rows: pl.DataFrame, within: int) -> str:
    """How many run out, how many of them nothing covers, and what that puts at risk."""
    if rows.is_empty():
        return f"Nothing runs out within {within} days"
    out = rows.filter(pl.col("runs_out_days") <= 0).height
    uncovered = rows.filter(~pl.col("is_covered")).height
    sums = rows.drop_nulls("at_risk").group_by("currency_code").agg(pl.col("at_risk").sum()).sort("currency_code")
    risk = " + ".join(format_money(amount, code) for code, amount in sums.iter_rows())
    said = f"{format_count(rows.height, 'item')} at locations run out within {within} days, {out:,} of them are out now"
    covered = "a suggestion covers each" if not uncovered else f"for {uncovered:,} nothing is suggested"
    return f"{said}; {covered}" + (f". Margin at risk: {risk}" if risk else "")


def unjudged_words(found: Projection) -> str:
    """What is left out of the list, counted."""
    if not found.unjudged_count:
        return "Every active item at every location is judged."
    return (
        f"Not judged: {format_count(found.unjudged_count, 'active item')} at locations without a forecast, "
        f"{format_units(found.empty_unjudged_count)} of them with nothing free; the Demand page says why."
    )


def _by_week(rows: pl.DataFrame) -> Layers:
    week = (
        pl.when(pl.col("runs_out_days") <= 0).then(pl.lit("Out now"))
        .otherwise(pl.format("Week {}", (pl.col("runs_out_days") - 1) // 7 + 1))
    )  # fmt: skip
    order = ["Out now", *(f"Week {number}" for number in range(1, 9))]
    state = pl.when("is_covered").then(pl.lit(_COVERED)).otherwise(pl.lit(_OPEN))
    counts = rows.group_by(week.alias("week"), state.alias("state")).agg(pl.len().cast(pl.Int64).alias("count"))
    shown = [name for name in order if name in set(counts["week"])]
    color = alt.Color(
        "state:N", scale=alt.Scale(domain=[_COVERED, _OPEN], range=[theme.ACCENT, theme.WARNING]),
        legend=alt.Legend(orient="top", title=None, labelLimit=220),
    )  # fmt: skip
    across = alt.X("week:N", sort=shown, title=None, axis=alt.Axis(labelAngle=0))
    up = alt.Y("count:Q", title="Items at locations", axis=alt.Axis(format=",.0f", tickCount=4), stack=True)
    said = [
        alt.Tooltip("week:N", title="Runs out"),
        alt.Tooltip("state:N", title="State"),
        alt.Tooltip("count:Q", title="Items", format=",.0f"),
    ]
    bars = as_chart(counts).mark_bar(size=46, cornerRadiusEnd=2).encode(across, up, color, tooltip=said)
    return layered([bars], height=220)
