"""Which orders are open, which are stuck, and what happened to this one?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.backlog_charts import backlog_title, blocked_chart, blocked_title, heat_chart
from dashboards.components.charts import chart_block
from dashboards.components.drill import look_closed
from dashboards.components.formats import format_count
from dashboards.components.frame import show_page
from dashboards.components.metric_panels import metric_cards
from dashboards.components.order_list import open_order_list
from dashboards.components.order_story import show_order
from dashboards.components.order_words import CAUSES
from dashboards.components.states import errors_as_sentences, show_not_available
from dashboards.queries import orders

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.orders import Backlog
    from dashboards.queries.releases import Served

SHOWN: Final = (
    "open_orders",
    "overdue_open_orders",
    "open_orders_value",
    "open_orders_mean_age_days",
    "blocked_orders",
    "blocked_value",
)
_ORDER: Final = "order"  # in the address, and what other pages link to
_CHOSEN: Final = "chosen_order"
_BLOCKED_LABELS: Final = {
    "cause": "Cause",
    "part": "Became",
    "amount": "Value",
    "orders_count": "Orders",
    "hold_p50_hours": "Median hours blocked",
}

_BACKLOG_DEFINITIONS: Final = {
    "stage": "The last step that is known to be done.",
    "age_band": "Days since the order was placed.",
    "overdue_count": "Those of them whose promised day has passed.",
    "open_reporting_amount": "Their value; blank where one has no exchange rate.",
}
_BLOCKED_DEFINITIONS: Final = {
    "cause": "What holds orders up; an order with two causes counts for each.",
    "part": "What became of them: released, lost, or still open.",
    "amount": "Value of the orders of this part.",
    "orders_count": "Orders blocked by this cause, whatever became of them.",
    "hold_p50_hours": "Half of them were blocked for longer.",
}


def page(served: Served, filters: Filters) -> None:
    """The page's content: one order where one is asked for, else all that are open."""
    if order_id := _search():
        with errors_as_sentences("The order"):
            show_order(served, filters, order_id)
        return
    look_closed()
    metric_cards(served, SHOWN, filters, name="orders")
    found = orders.backlog(served, filters)
    if found.missing:
        show_not_available("Open orders", found.missing)
        return
    left, right = st.columns(2, gap="large")
    with left:
        _show_backlog(served, found, filters)
    with right, errors_as_sentences("Blocked orders"):
        _show_blocked(served, filters)
    _show_list(served, found, filters)


def _search() -> str:
    """The order that is asked for: typed, chosen in the list, or named by the address; empty for all."""
    if chosen := st.session_state.pop(_CHOSEN, None):
        st.session_state[_ORDER] = chosen
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order_id = st.text_input(
            "Find an order", placeholder="Its id, such as O-000345", key=_ORDER, bind="query-params", icon=":material/search:", width=320,
            help="Everything that happened to it, across channels. Who looks at which order is recorded.",
        )  # fmt: skip
        if order_id:
            st.button("Back to all open orders", icon=":material/arrow_back:", on_click=_close)
    return order_id.strip()


def _close() -> None:
    st.session_state[_ORDER] = ""


def _open(order_id: str) -> None:
    st.session_state[_CHOSEN] = order_id
    st.rerun()


def _show_backlog(served: Served, found: Backlog, filters: Filters) -> None:
    cells = found.by_stage_and_age
    if cells.is_empty():
        st.success("No order stands open.", icon=":material/check_circle:")
        return
    chart_block(
        heat_chart(cells), title=backlog_title(found), alt_text="Open orders by stage and age", frame=cells, name="backlog-by-stage",
        as_of=served.context.as_of_date, caption="Orders by the last step that is known to be done and by days since they were placed.",
        columns=("stage", "age_band", "orders_count", "overdue_count", "open_reporting_amount"), filters=filters.as_export(),
        definitions=_BACKLOG_DEFINITIONS,
    )  # fmt: skip


def _show_blocked(served: Served, filters: Filters) -> None:
    parts = orders.blocked(served, filters)
    if parts.is_empty():
        st.markdown("**Blocked orders**")
        st.caption(f"Nothing was blocked in {filters.days} days, or the source does not say: see the card above.")
        return
    currency = served.context.currency_code
    chart_block(
        blocked_chart(parts, currency), title=blocked_title(parts, currency), alt_text="Value blocked by cause and what became of it",
        frame=parts, name="blocked-orders", as_of=served.context.as_of_date,
        caption=f"Value of what was blocked in {filters.days} days. An order with two causes counts for each.",
        labels=_BLOCKED_LABELS | {"amount": f"Value ({currency})"}, filters=filters.as_export(), definitions=_BLOCKED_DEFINITIONS,
    )  # fmt: skip


def _show_list(served: Served, found: Backlog, filters: Filters) -> None:
    st.subheader("The orders", anchor=False)
    chosen = _narrowing(found)
    rows, count = orders.open_orders(served, filters, chosen)
    if rows.is_empty():
        st.info("No open order is like this. Clear a choice to see more.", icon=":material/filter_alt_off:")
        return
    if count > rows.height:
        st.caption(f"The first {rows.height:,} of {format_count(count, 'order')}; `ordercast report open_orders --csv` has all.")
    narrowed = filters.as_export() | {name: str(value) for name, value in chosen.items() if value is not None}
    if order_id := open_order_list(rows, as_of=served.context.as_of_date, filters=narrowed, definitions=found.definitions):
        _open(order_id)


def _narrowing(found: Backlog) -> dict[str, Any]:
    """What the list is narrowed to; each choice stands in the address."""
    cells = found.cells
    ages = cells.select("age_from_days", "age_band").unique().sort("age_from_days")["age_band"].to_list()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        stage = st.selectbox(
            "Stage", found.by_stage["stage"].to_list(), index=None, placeholder="All", key="stage", bind="query-params", width=230
        )
        age = st.selectbox("Age", ages, index=None, placeholder="All", key="age", bind="query-params", width=160)
        causes = [cause for cause in CAUSES if cause in cells["cause"]]
        cause = st.selectbox(
            "Blocked by", causes, index=None, placeholder="All", key="cause", bind="query-params", width=190,
            format_func=lambda name: CAUSES[name].capitalize(),
        )  # fmt: skip
        promise = st.segmented_control("Promise", ("Overdue", "Ahead"), key="promise", bind="query-params")
    overdue = None if promise is None else promise == "Overdue"
    return {"stage": stage, "age_band": age, "cause": cause, "is_overdue": overdue}


show_page("orders", page)
