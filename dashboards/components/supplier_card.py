"""One supplier: how it keeps its promises, by how many days it misses them, what it owes now and says it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import HEIGHT, Layers, as_chart, chart_block, layered, time_chart
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import (
    UNKNOWN,
    escape_markdown,
    format_change,
    format_count,
    format_days,
    format_money,
    format_percent,
    format_sample,
    format_units,
)
from dashboards.components.links import page_link
from dashboards.components.supplier_panel import DEFINITIONS, late_lines
from dashboards.components.tables import data_table
from dashboards.queries import suppliers as queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

_CARD_PIXELS: Final = 190
_HOLDS: Final = {
    "available_qty": "Units that the supplier says it has; nobody here owns them.",
    "stock_date": "The day of which it says so.",
}


def supplier_card(served: Served, filters: Filters, supplier_id: str, name: str) -> None:
    """The supplier's figures of the period, its misses by days, its year, and what is still to come."""
    found = queries.supplier_list(served, filters)
    own = found.rows.filter(pl.col("supplier_id") == supplier_id)
    st.subheader(escape_markdown(name), anchor=False)
    if found.not_available:
        st.info(escape_markdown(found.not_available), icon=":material/block:")
    elif own.is_empty():
        st.caption(f"Nothing was promised by it in the {filters.days} days before, and nothing came. Choose a longer period.")
    else:
        _figures(own.row(0, named=True), filters)
    left, right = st.columns(2)
    with left:
        _misses(served, filters, supplier_id)
    with right:
        _year(served, supplier_id, name)
    late_lines(served, filters, supplier_id=supplier_id)
    _rebate(served, supplier_id)
    _holds(served, supplier_id)
    page_link(served, filters, "reorder", f"What should be ordered from {escape_markdown(name)}", icon="shopping_cart", supplier=name)


def _figures(row: Mapping[str, Any], filters: Filters) -> None:
    few = format_sample(row["n"])
    before = row["on_time_before_rate"]
    change = None if before is None or row["on_time_rate"] is None else format_change((row["on_time_rate"] - before) * 100, "pp")
    with st.grid(4, min_column_width=_CARD_PIXELS, border=True) as grid:
        with grid.cell():
            st.metric(
                "On time", format_percent(row["on_time_rate"]), delta=change, delta_description=f"vs prior {filters.days} days",
                help=DEFINITIONS["on_time_rate"],
            )  # fmt: skip
            target = "" if row["target_rate"] is None else f"target at least {format_percent(row['target_rate'])}"
            st.caption(" · ".join(part for part in (target, few) if part) or f"{format_units(row['n'])} lines promised")
        with grid.cell():
            st.metric("Took, median", format_days(row["actual_p50_days"]), help=DEFINITIONS["actual_p50_days"])
            st.caption(f"promised {format_days(row['promised_days'])}")
        with grid.cell():
            st.metric("Took, nine in ten", format_days(row["actual_p90_days"]), help=DEFINITIONS["actual_p90_days"])
            gap = row["gap_p90_days"]
            st.caption(UNKNOWN if gap is None else f"{format_change(gap, 'days')} against the promise")
        with grid.cell():
            st.metric("Short lines", format_percent(row["short_line_rate"]), help=DEFINITIONS["short_line_rate"])
            st.caption(f"{format_percent(row['short_unit_rate'])} of units missing")


def _misses(served: Served, filters: Filters, supplier_id: str) -> None:
    rows = queries.lateness(served, filters, supplier_id=supplier_id)
    if rows.is_empty():
        st.caption("No receipt of the period has both a confirmation and a promise.")
        return
    chart_block(
        lateness_chart(rows), title=escape_markdown(lateness_title(rows)), alt_text="Receipts by days against their promise", frame=rows,
        name="supplier-lateness", as_of=served.context.as_of_date, filters=filters.as_export() | {"supplier": supplier_id},
        labels={"days_late": "Days after the promise", "lines_count": "Lines"},
        definitions={"days_late": "Days from the promised day to the receipt, below 0 early; both ends hold all beyond."},
        caption=f"Lines received in {filters.days} days; {queries.LATENESS_BOUND} and more stand in the last bar of either side.",
    )  # fmt: skip


def lateness_chart(rows: pl.DataFrame) -> Layers:
    """A bar per day before or after the promise; late ones in another colour, told apart by the line at the promise."""
    base = as_chart(rows.with_columns(is_late=pl.col("days_late") > 0))
    bound = queries.LATENESS_BOUND
    days = alt.X("days_late:Q", title="Days after the promise", scale=alt.Scale(domain=[-bound - 1, bound + 1], nice=False))
    color = alt.Color("is_late:N", scale=alt.Scale(domain=[False, True], range=[theme.INBOUND, theme.WARNING]), legend=None)
    bars = base.mark_bar(size=9).encode(
        days, alt.Y("lines_count:Q", title="Lines", axis=alt.Axis(format=",.0f", tickCount=5)), color,
        tooltip=[alt.Tooltip("days_late:Q", title="Days late"), alt.Tooltip("lines_count:Q", title="Lines")],
    )  # fmt: skip
    promise = alt.Chart(pl.DataFrame({"at": [0.5], "name": ["late"]}))
    rule = promise.mark_rule(color=theme.REFERENCE, strokeDash=[2, 3]).encode(x="at:Q")
    text = promise.mark_text(align="left", dx=5, baseline="top", color=theme.REFERENCE).encode(x="at:Q", y=alt.YValue(0), text="name:N")
    return layered([bars, rule, text], height=HEIGHT)


def lateness_title(rows: pl.DataFrame) -> str:
    """The answer: how many of the receipts came after their promise, and by how many days half of these were late."""
    late = rows.filter(pl.col("days_late") > 0).sort("days_late", descending=True)
    total, count = format_count(int(rows["lines_count"].sum()), "line"), int(late["lines_count"].sum())
    if not count:
        return f"None of {total} came after the promise"
    half = late.filter(2 * pl.col("lines_count").cum_sum() >= count)["days_late"][0]
    return f"{count:,} of {total} came after the promise, half of these by {format_count(half, 'day')} or more"


def _year(served: Served, supplier_id: str, name: str) -> None:
    rows = queries.on_time_by_month(served, supplier_id)
    known = rows.drop_nulls("value")
    if known.is_empty():
        st.caption("Nothing was promised for the last twelve months.")
        return
    targets = rows["target"].drop_nulls()
    last = known.row(-1, named=True)
    whole = known.filter(pl.col("is_complete"))
    said = whole.row(-1, named=True) if whole.height else last
    chart_block(
        time_chart(known, value="value", unit="percent", target=targets[-1] if targets.len() else None),
        title=escape_markdown(f"{format_percent(said['value'])} on time in {said['period_from']:%B}, by the month promised"),
        alt_text=f"Punctuality of {name} by month", frame=rows, name="supplier-months", as_of=served.context.as_of_date,
        columns=("period_from", "value", "target", "n", "is_complete"), filters={"supplier": supplier_id},
        definitions=COLUMN_WORDS | {"value": "Share of the lines promised for the month that were received by the promised day."},
        labels={"period_from": "Month", "value": "On time (share)", "target": "Target (share)", "n": "Lines", "is_complete": "Complete"},
        caption="A dashed end is not complete yet.",
    )  # fmt: skip


def _rebate(served: Served, supplier_id: str) -> None:
    rows, _ = queries.rebates(served)
    if rows.is_empty():
        return
    for row in rows.filter((pl.col("supplier_id") == supplier_id) & pl.col("is_running")).iter_rows(named=True):
        accrued, volume = (format_money(row[name], row["currency_code"]) for name in ("rebate_reporting_amount", "volume_reporting_amount"))
        more = ""
        if row["next_rebate_rate"] is not None:
            missing = format_money(row["next_tier_distance_reporting_amount"], row["currency_code"])
            more = f" {missing} more by {row['valid_to_date']} would make it {format_percent(row['next_rebate_rate'])} of all of it."
        st.markdown(
            f":material/savings: Rebate: **{escape_markdown(accrued)}** accrued, {format_percent(row['rebate_rate'])} of "
            f"{escape_markdown(volume)}.{escape_markdown(more)}"
        )


def _holds(served: Served, supplier_id: str) -> None:
    rows = queries.supplier_stock(served, supplier_id)
    if rows.is_empty():
        return
    with st.expander(f"What it says it holds: {format_count(rows.height, 'item')}", icon=":material/inventory:"):
        data_table(
            rows, name="supplier-stock", as_of=served.context.as_of_date, alt="Units that the supplier says it holds",
            columns=("sku", "title", "available_qty", "stock_date"), labels={"available_qty": "Holds (units)", "stock_date": "Said for"},
            filters={"supplier": supplier_id}, definitions=_HOLDS,
        )  # fmt: skip
