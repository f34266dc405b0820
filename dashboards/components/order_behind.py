"""The orders behind a figure, of which one is opened on its own page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.formats import format_count
from dashboards.components.links import page_link
from dashboards.components.tables import data_table
from dashboards.queries.fulfilment import NOWHERE, orders_behind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

_COLUMNS: Final = (
    "order_id",
    "how",
    "promised_delivery_date",
    "delivered_date",
    "net_reporting_amount",
    "channel_id",
    "location",
    "carrier",
)
_LABELS: Final = {"how": "What happened", "promised_delivery_date": "Promised for", "delivered_date": "Arrived", "channel_id": "Channel"}

_DEFINITIONS: Final = {
    "how": "Whether it arrived, how long after its promised day, and whether in full.",
    "promised_delivery_date": "The day it was promised for.",
    "net_reporting_amount": "What was sold, less discount and before refunds; blank where there is no exchange rate.",
    "late_days": "Days from the promised day to arrival, below 0 early.",
}


def show_orders_behind(served: Served, filters: Filters, *, by: str, members: Sequence[tuple[str, str]]) -> None:
    """A choice of member and outcome, the orders that are so, and a way to each one's whole story.

    Args:
        served: What is shown.
        filters: What it is narrowed to.
        by: Dimension of the members.
        members: Id and name of each that can be chosen.
    """
    names = dict(members)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        member = st.selectbox(
            f"Orders of this {by}", list(names), index=None, placeholder="All", key="member", bind="query-params", width=260,
            format_func=lambda one: names.get(one, one),
        )  # fmt: skip
        missed = st.segmented_control(
            "Which", ("Missed", "All"), default="Missed", required=True, key="which", bind="query-params",
            help="Missed: not arrived in full by the promised day.",
        )  # fmt: skip
    rows, count = orders_behind(served, filters, by=by, member=member, outcome="all" if missed == "All" else "missed")
    if rows.is_empty():
        st.success("None: every order arrived in full by its promised day.", icon=":material/check_circle:")
        return
    if count > rows.height:
        st.caption(f"The first {rows.height:,} of {format_count(count, 'order')}, the latest first. Narrow the page to see the others.")
    narrowed = filters.as_export() | {"which": missed or "Missed"} | ({by: NOWHERE if member == NOWHERE else str(member)} if member else {})
    as_of = served.context.as_of_date
    chosen = data_table(
        _in_words(rows), name="orders-behind", as_of=as_of, alt="Orders, the latest first; choose one to open it", columns=_COLUMNS,
        labels=_LABELS | {"net_reporting_amount": f"Value ({served.context.currency_code})"}, filters=narrowed,
        definitions=_DEFINITIONS, selects="single-row",
    )  # fmt: skip
    if chosen:
        order_id = chosen[0]["order_id"]
        page_link(served, filters, "orders", f"Open everything that happened to {order_id}", icon="timeline", order=order_id)


def _in_words(rows: pl.DataFrame) -> pl.DataFrame:
    late, is_cut = pl.col("late_days"), pl.col("shipped_qty") < pl.col("ordered_qty")
    day = pl.when(late.abs() == 1).then(pl.lit("day")).otherwise(pl.lit("days"))
    how = (
        pl.when(late.is_null() & is_cut).then(pl.lit("not arrived, not all shipped"))
        .when(late.is_null()).then(pl.lit("not arrived"))
        .when(late > 0).then(pl.format("{} {} late", late, day))
        .when(~pl.col("is_on_time_in_full")).then(pl.lit("in time, not in full"))
        .when(late == 0).then(pl.lit("on the day"))
        .otherwise(pl.format("{} {} early", -late, day))
    )  # fmt: skip
    return rows.with_columns(how.alias("how"))
