"""What should we order today?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from dashboards import forecasts, queries
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_money
from dashboards.components.states import (
    errors_as_sentences,
    page_head,
    show_freshness,
    show_not_available,
    show_nothing_published,
    show_store_problem,
)
from dashboards.components.suggestion_detail import suggestion_detail
from dashboards.components.worklist import worklist

if TYPE_CHECKING:
    from dashboards.queries import Served


def page() -> None:
    """The whole page."""
    page_head("Reorder worklist", "What should we order today?")
    with errors_as_sentences("The release"):
        served = queries.served()
        if served is None:
            show_nothing_published()
            return
        show_freshness(served, now=queries.now())
        if missing := queries.missing_tables(served, queries.PLANNING_TABLES):
            show_not_available("Reorder suggestions", missing)
            return
        with errors_as_sentences("The worklist"):
            show_suggestions(served)
        with errors_as_sentences("The search"):
            show_search(served)


def show_suggestions(served: Served) -> None:
    """The worklist with its filters, and the selected suggestion opened below it."""
    if withheld := forecasts.withheld_reason(served):
        st.warning(
            f"**Suggestions are withheld**, because the forecasts broke: {escape_markdown(withheld)} "
            "Those proposed before stand in the operational store until they expire.",
            icon=":material/warning:",
        )
        return
    suggestions = queries.suggestions(served)
    show_store_problem(suggestions.store_problem)
    if suggestions.frame.is_empty():
        st.success(
            "**Nothing to order.** For every item that can be judged, stock and dated deliveries last until the next review "
            "at the service level, or a person has decided.",
            icon=":material/check_circle:",
        )
        return
    shown = show_filters(suggestions.frame)
    load = queries.workload(shown, as_of=served.context.as_of_date)
    cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{format_count(load.count, 'item')}** · {cost or '-'} · **{load.urgent_count:,} to order today**", width="content")
        chosen = {"supplier": st.session_state.get("supplier") or None, "location": st.session_state.get("location") or None}
        export_button(shown, name="reorder-worklist", as_of=served.context.as_of_date, filters=chosen)
    today = queries.now().date()
    if selected := worklist(shown, as_of=served.context.as_of_date, today=today):
        with st.container(border=True):
            suggestion_detail(served, selected, today=today)


def show_filters(frame: pl.DataFrame) -> pl.DataFrame:
    """The suggestions of the chosen suppliers and locations; nothing chosen is all. The choice stands in the address."""
    with st.container(horizontal=True):
        suppliers = st.multiselect(
            "Supplier", frame["supplier"].unique().sort().to_list(), placeholder="All suppliers", bind="query-params", key="supplier"
        )
        locations = st.multiselect(
            "Location", frame["location"].unique().sort().to_list(), placeholder="All locations", bind="query-params", key="location"
        )
    return queries.filtered(frame, suppliers=suppliers, locations=locations)


def show_search(served: Served) -> None:
    """Why an item is not on the list."""
    st.subheader("Not on the list? Search an item to see why", anchor=False)
    text = st.text_input("SKU or title", placeholder="SKU or title", label_visibility="collapsed", bind="query-params", key="item")
    if not text.strip():
        return
    found = queries.find_items(served, text)
    if found.is_empty():
        st.info(f"No item has {escape_markdown(text)} in its SKU or title.", icon=":material/search_off:")
        return
    st.dataframe(
        found,
        column_config={
            "sku": "Item",
            "title": "Title",
            "location": "Location",
            "on_hand_qty": st.column_config.NumberColumn("On hand (units)", format="%,d"),
            "available_qty": st.column_config.NumberColumn("Available (units)", format="%,d"),
            "inbound_qty": st.column_config.NumberColumn("Inbound (units)", format="%,d"),
            "answer": st.column_config.TextColumn("Why", width="large"),
        },
        hide_index=True,
        placeholder="-",
        key="found",
    )
    if found.height == queries.SEARCH_ROWS:
        st.caption(f"The first {queries.SEARCH_ROWS} matches; write more of the SKU to narrow them.")


page()
