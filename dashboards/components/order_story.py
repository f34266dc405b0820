"""One order: how it stands, how long each stage took, everything that happened, and its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.drill import record_look
from dashboards.components.formats import UNKNOWN, escape_markdown, format_count, format_date, format_days, format_price
from dashboards.components.links import page_link
from dashboards.components.order_words import BASES, outcome
from dashboards.components.tables import data_table
from dashboards.components.timeline import Mark, timeline
from dashboards.queries import orders
from dashboards.queries.timelines import order_story

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

# A column's label and what it means.
_STAGES: Final = {
    "create_to_approve_days": ("Creation to approval", "From the order to the moment it was approved."),
    "approve_to_release_days": ("Approval to release", "From approval to the moment it was released to be packed."),
    "release_to_ship_days": ("Release to shipment", "From release until the first of it left."),
    "ship_to_deliver_days": ("Shipment to arrival", "From the first shipment until the last of it arrived."),
    "cycle_time_days": (
        "All of it",
        "From the order until the last of it arrived, the sum of the stages; unknown while any of it is open.",
    ),
}
_LINE_COLUMNS: Final = ("sku", "title", "ordered_qty", "shipped_qty", "given_up_qty", "returned_qty", "net_amount")

_LINE_DEFINITIONS: Final = {
    "given_up_qty": "Units that will not be shipped any more.",
    "returned_qty": "Units announced to come back.",
    "net_amount": "Price less discount, in the order's currency.",
}


def show_order(served: Served, filters: Filters, order_id: str) -> None:
    """The order, or that there is none of this id. Who looks is recorded before any of it is shown; where that fails nothing is.

    Raises:
        AccessNotRecordedError: It could not be recorded.
        ReleaseError: The release cannot be read.
    """
    facts = orders.order_facts(served, order_id)
    if facts is None:
        _not_found(order_id, as_of=served.context.as_of_date)
        return
    story = order_story(served, order_id)
    record_look(story)
    as_of = served.context.as_of_date
    _head(facts, today=as_of)
    _stages(facts)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**What happened**")
        timeline(
            story.events, zone=served.context.reporting_time_zone, name=f"order-{order_id}", as_of=as_of, marks=promise_marks(facts),
            filters={"order_id": order_id}, alt=f"What happened to order {order_id}, oldest first",
        )  # fmt: skip
    with right:
        _lines(orders.order_lines(served, order_id), order_id, as_of=as_of)
        if story.customer_key and story.profile:
            page_link(served, filters, "customers", "Open everything this customer did", icon="person", customer=story.customer_key)
        elif not story.customer_key:
            st.caption("Ordered by a guest, or by nobody the source names.")


def promise_marks(facts: Mapping[str, Any]) -> list[Mark]:
    """When it was promised to leave and to arrive, and by whom."""
    return [
        Mark(facts["promised_ship_at"], f"Promised to leave by this day, {BASES[facts['ship_promise_basis']]}"),
        Mark(facts["promised_delivery_at"], f"Promised to arrive by this day, {BASES[facts['promise_basis']]}"),
    ]


def _not_found(order_id: str, *, as_of: date) -> None:
    st.warning(
        f"**No order {escape_markdown(order_id)} in this release.** Its id is written as the shop writes it, capitals and dashes included. "
        f"An order placed after {format_date(as_of, today=as_of)} comes with the next release.",
        icon=":material/search_off:",
    )


def _head(facts: Mapping[str, Any], *, today: date) -> None:
    icon, color, words = outcome(facts)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(f"Order {escape_markdown(facts['order_id'])}", anchor=False, width="content")
        st.badge(escape_markdown(words), icon=f":material/{icon}:", color=color)  # type: ignore[arg-type]  # one of its colours
        if facts["is_test"]:
            st.badge("Test order, counted nowhere", icon=":material/science:", color="gray")
    said = [
        format_price(facts["net_amount"], facts["currency_code"]), format_count(facts["ordered_qty"], "unit"),
        facts["channel_id"], facts["location"], facts["ship_to_country"] and f"to {facts['ship_to_country']}", facts["carrier"],
        promised_words(facts, today=today),
    ]  # fmt: skip
    st.markdown(" · ".join(escape_markdown(part) for part in said if part))


def promised_words(facts: Mapping[str, Any], *, today: date) -> str:
    """The day it was promised for, and how long ago that was where the order is still open."""
    said, late = f"promised for {format_date(facts['promised_delivery_date'], today=today)}", today - facts["promised_delivery_date"]
    return f"{said}, {format_count(late.days, 'day')} overdue" if facts["is_open"] and late.days > 0 else said


def _stages(facts: Mapping[str, Any]) -> None:
    with st.container(horizontal=True):
        for column, (label, meaning) in _STAGES.items():
            value = facts[column]
            st.metric(label, UNKNOWN if value is None else format_days(value), border=True, width=160, help=meaning)
    if facts["has_impossible_timeline"]:
        st.caption(":material/warning: Timestamps of this order run backwards: stages that would be negative are unknown.")


def _lines(lines: pl.DataFrame, order_id: str, *, as_of: date) -> None:
    st.markdown(f"**{format_count(lines.height, 'line')}**, quantities in units")
    if lines.is_empty():
        st.caption("The source names no lines of this order.")
        return
    columns = [name for name in _LINE_COLUMNS if name not in {"given_up_qty", "returned_qty"} or lines[name].fill_null(0).sum()]
    exported = lines.with_columns(pl.lit(order_id).alias("order_id"))
    data_table(
        exported, name=f"order-{order_id}-lines", as_of=as_of, alt=f"Lines of order {order_id}", columns=columns,
        labels=_line_labels(lines), filters={"order_id": order_id}, definitions=_LINE_DEFINITIONS,
    )  # fmt: skip


def _line_labels(lines: pl.DataFrame) -> dict[str, Any]:
    column = st.column_config
    counts = {"ordered_qty": "Ordered", "shipped_qty": "Shipped", "given_up_qty": "Given up", "returned_qty": "Returned"}
    return {
        "sku": column.TextColumn("Item", width=80), "title": column.TextColumn("Title", width=105),
        "net_amount": column.NumberColumn(f"Value ({lines['currency_code'][0]})", format="%,.2f", width=80),
    } | {name: column.NumberColumn(label, format="%,d", width=66) for name, label in counts.items()}  # fmt: skip
