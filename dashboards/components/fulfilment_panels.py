"""Parts of the page about fulfilment: each a question, its answer as a title, and what the reader has to know beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components import fulfilment_charts as charts
from dashboards.components.charts import chart_block
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import SMALL_SAMPLE, escape_markdown, format_count, format_percent
from dashboards.components.links import page_link
from dashboards.components.metric_panels import breakdown_title, metric_breakdown, metric_cards
from dashboards.components.order_behind import show_orders_behind
from dashboards.components.order_words import BASES
from dashboards.queries import fulfilment
from dashboards.queries.metrics import breakdown

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

_FILL: Final = ("order_fill_rate", "line_fill_rate", "unit_fill_rate")
_CYCLE: Final = ("order_cycle_time_mean_days", "order_cycle_time_net_mean_days")

_DEFINITIONS: Final = {
    "late_days": "Days from the promised day to the day of arrival, below 0 early; blank where nothing arrived. Both ends hold all beyond.",
    "arrival": "On time, late, not arrived, or closed: it ended without arriving and never will.",
    "cut_count": "Orders that arrived in time without all that was ordered; they count as missed.",
    "confirmed_count": "Orders whose promise is a confirmed day.",
    "requested_count": "Orders whose promise is the day that the customer asked for.",
    "derived_count": "Orders whose promise is worked out, since the source names no day.",
    "stage": "Part of an order's way; the parts add up to the whole.",
    "days": "Mean over the orders.",
}
_FILLED: Final = {
    "rate_of": "Of what the share is: whole orders, single lines, or units.",
    "value": "The share that left by the promised day; orders and lines whole and in the first shipment.",
}
_STANDING: Final = {"age_band": "Days since the order was placed.", "value": "Orders open at the end of the day."}


def show_arrivals(served: Served, filters: Filters) -> None:
    """When orders arrived against what was promised, and what the promises rest on."""
    arrivals = fulfilment.arrivals(served, filters)
    if arrivals.is_empty():
        return
    chart_block(
        charts.arrivals_chart(arrivals), title=charts.arrivals_title(arrivals), frame=arrivals, name="arrivals-against-promises",
        alt_text="Orders by days between the promised day and the day of arrival", as_of=served.context.as_of_date,
        caption=_basis(arrivals, filters),
        labels={"late_days": "Days after the promise", "arrival": "Arrival", "cut_count": "In time, but not in full"},
        filters=filters.as_export(), definitions=_DEFINITIONS,
    )  # fmt: skip


def show_orders(served: Served, filters: Filters, by: str) -> None:
    """The orders that on time in full is about, those that missed first."""
    found = breakdown(served, "on_time_in_full", by, filters)
    if found.not_available or found.rows.is_empty():
        return
    st.subheader("The orders behind it", anchor=False)
    show_orders_behind(served, filters, by=by, members=list(found.rows.drop_nulls("value").select("member", "name").iter_rows()))


def show_fill_rates(served: Served, filters: Filters, by: str) -> None:
    """Three fill rates side by side, with what tells them apart."""
    metric_cards(served, _FILL, filters, name="fill-rates")
    st.caption(
        "Three questions about the same shipments. **Orders**: did every line leave whole in the first shipment, by the promised day? "
        "One missing unit spoils the order. **Lines**: did this line? **Units**: how many units left by the promised day, in whatever "
        "shipment? So orders are the lowest and units the highest; the further apart, the more orders fail for little."
    )
    rates, why_not = fulfilment.fill_rates(served, filters, by)
    if why_not or rates.is_empty():
        st.caption(f":material/block: {escape_markdown(why_not or 'Nothing was promised in this period.')}")
        return
    worst = rates.filter(pl.col("rate_of") == "Orders").sort("value")
    named = "" if worst.height < 2 else f": lowest at {worst['name'][0]}, {format_percent(worst['value'][0])} of orders"
    chart_block(
        charts.fill_chart(rates), title=escape_markdown(f"Fill rates by {by}{named}"), alt_text=f"Order, line and unit fill rate by {by}",
        frame=rates, name=f"fill-rates-by-{by}", as_of=served.context.as_of_date, columns=("name", "rate_of", "value", "target", "n"),
        labels={"name": by.capitalize(), "rate_of": "Share of", "value": st.column_config.NumberColumn("Filled", format="percent"),
                "target": st.column_config.NumberColumn("Target", format="percent"), "n": "n"},
        filters=filters.as_export(), definitions=COLUMN_WORDS | _FILLED,
    )  # fmt: skip


def show_stages(served: Served, filters: Filters, by: str) -> None:
    """Where an order's time goes: stages that sum to the whole, gross and net of waiting on purpose."""
    found = fulfilment.stages(served, filters, by)
    if found.not_available or found.totals.drop_nulls("days").is_empty():
        st.caption(f":material/block: {escape_markdown(found.not_available or 'Nothing arrived in this period.')}")
        return
    chart_block(
        charts.stages_chart(found, list(fulfilment.STAGES.values())), title=charts.stages_title(found), frame=found.means,
        alt_text=f"Mean days per stage, all orders and by {by}", name=f"stages-by-{by}", as_of=served.context.as_of_date,
        caption=_stages_caption(found, filters), columns=("name", "stage", "days", "n"),
        labels={"name": by.capitalize(), "stage": "Stage", "days": st.column_config.NumberColumn("Mean days", format="%.2f"), "n": "n"},
        filters=filters.as_export(), definitions=COLUMN_WORDS | _DEFINITIONS,
    )  # fmt: skip
    metric_cards(served, _CYCLE, filters, name="cycle-times", per_row=2)
    st.caption("Net of dwell leaves out the days an order waited because its customer asked for a later day.")


def show_carriers(served: Served, filters: Filters) -> None:
    """Who brings orders how fast, and whose arrive as promised."""
    left, right = st.columns(2, gap="large")
    with left:
        _by_carrier(served, filters, "order_stage_ship_to_deliver_mean_days")
    with right:
        _by_carrier(served, filters, "on_time_in_full")
    _by_carrier(served, filters, "late_orders_by_date")
    page_link(served, filters, "fulfilment", "The orders of each carrier", icon="list", part="On time", by="Carrier")


def show_backlog(served: Served, filters: Filters) -> None:
    """What stood open day by day, by age."""
    days, why_not = fulfilment.backlog_course(served, filters)
    known = days.drop_nulls("value")
    if why_not or known.is_empty():
        st.caption(f":material/block: {escape_markdown(why_not or 'Nothing stood open in this time.')}")
        return
    ages = sorted(known["age_band"].unique(), key=lambda band: int(band.partition("-")[0].partition(" ")[0]))
    chart_block(
        charts.backlog_chart(days, ages), title=charts.backlog_title(days), frame=known,
        name="backlog-by-day", columns=("period_from", "age_band", "value"), as_of=served.context.as_of_date,
        alt_text="Orders open at the end of each day, by age",
        caption="Orders open at the end of each day, by days since they were placed.",
        labels={"period_from": "Day", "age_band": "Age", "value": st.column_config.NumberColumn("Open orders", format="%,.0f")},
        filters=filters.as_export(), definitions=_STANDING,
    )  # fmt: skip
    page_link(served, filters, "orders", "Which orders are open now")


def _by_carrier(served: Served, filters: Filters, metric: str) -> None:
    """The title judges carriers by enough orders only; the bars and the table have all."""
    found = breakdown(served, metric, "carrier", filters)
    judged = found.rows.filter((pl.col("member") != fulfilment.NOWHERE) & (pl.col("n") >= SMALL_SAMPLE))
    title = breakdown_title(replace(found, rows=judged)) if judged.height else ""
    metric_breakdown(served, metric, "carrier", filters, title=title)


def _basis(arrivals: pl.DataFrame, filters: Filters) -> str:
    count = int(arrivals["orders_count"].sum())
    shares = {name: int(arrivals[f"{name}_count"].sum()) for name in BASES}
    said = "; ".join(f"{format_percent(part / count)} of the promises are {BASES[name]}" for name, part in shares.items() if part)
    cut = int(arrivals["cut_count"].sum())
    not_in_full = f" {format_count(cut, 'order')} came in time but not in full and count as missed." if cut else ""
    return f"{format_count(count, 'order')} promised for these {filters.days} days; {said}.{not_in_full}"


def _stages_caption(found: fulfilment.Stages, filters: Filters) -> str:
    count = found.impossible_count
    left_out = f"left out: {format_count(count, 'order')} with timestamps that run backwards" if count else "no timestamps run backwards"
    return f"Orders that arrived in {filters.days} days, n = {found.totals['n'][0]:,}; the stages sum to the whole; {left_out}."
