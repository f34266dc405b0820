"""What should we order today?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from dashboards import forecasts, queries
from dashboards.components.answer_card import answer_card
from dashboards.components.bulk_panel import bulk_panel
from dashboards.components.change_list import draft_changes
from dashboards.components.deciding import go_on, last_answer, page_is_drawn
from dashboards.components.draft_list import draft_orders
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_kinds, format_money
from dashboards.components.history_list import history_list
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
from dashboards.decisions import acting
from dashboards.suggestions import APPROVED, REJECTED, SECOND_PERSON, SNOOZED, STALE, STATES, TO_DECIDE, filtered, suggestions, workload
from pipelines.decisions.wording import KIND_NAMES

if TYPE_CHECKING:
    from dashboards.decisions import Acting
    from dashboards.queries import Served
    from dashboards.suggestions import Suggestions

HISTORY = "History"
SHOWN = (*STATES, HISTORY)
WORDS = {
    TO_DECIDE: "to decide", SECOND_PERSON: "waiting for a second person", STALE: "stale", SNOOZED: "snoozed", APPROVED: "approved",
    REJECTED: "rejected",
}  # fmt: skip
NOTHING = {
    SECOND_PERSON: "No approval waits for a second person.",
    STALE: "Nothing is stale: no approval met stock or prices that had moved.",
    SNOOZED: "Nothing is snoozed.",
    APPROVED: "Nothing approved is under way: approvals stand here until the goods arrive.",
    REJECTED: "Nothing stands rejected.",
}


def page() -> None:
    """The whole page."""
    page_is_drawn()
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
            found = suggestions(served)
            show_store_problem(found.store_problem)
            show_suggestions(served, found)
            if found.standing is not None:
                draft_orders(found, as_of=served.context.as_of_date)
                draft_changes(found, as_of=served.context.as_of_date)
        with errors_as_sentences("The search"):
            show_search(served)


def show_suggestions(served: Served, found: Suggestions) -> None:
    """The suggestions of one state, what was chosen of them, and what may be done about it."""
    who = acting(found)
    if who.why_not and found.standing is not None:
        st.markdown(f":material/visibility: {escape_markdown(who.why_not)}")
    elif who.operator is not None:
        st.caption(f":material/person: You decide as **{escape_markdown(who.operator.actor)}**, {who.operator.role}.")
    state = show_states(found)
    context = served.context
    if state == HISTORY:
        history_list(context.reporting_time_zone, as_of=context.as_of_date)
        return
    withheld = forecasts.withheld_reason(served)
    if state == TO_DECIDE and withheld:
        st.warning(
            f"**Suggestions are withheld**, because the forecasts broke: {escape_markdown(withheld)} "
            "Those proposed before stand in the operational store until they expire.",
            icon=":material/warning:",
        )
        return
    listed = found.of(state)
    shown, chosen = show_list(served, found, state=state) if listed.height else (listed, [])
    if listed.is_empty() and last_answer() is None:
        show_nothing(state)
    show_chosen(served, found, who, shown, chosen, state=state)


def show_states(found: Suggestions) -> str:
    """Which of the suggestions are listed; the choice stands in the address."""
    state = st.segmented_control(
        "Show",
        SHOWN,
        default=TO_DECIDE,
        required=True,
        bind="query-params",
        key="show",
        label_visibility="collapsed",
        on_change=go_on,
    )
    counts = [f"{found.count(name):,} {WORDS[name]}" for name in STATES if found.count(name)]
    if found.standing is not None and counts:  # not in the buttons: the address would change with every decision
        drafts = f"[{format_count(found.drafts.height, 'draft order')}](#draft-orders)"
        st.markdown(f":small[{' · '.join([*counts, *([drafts] if found.drafts.height else [])])}]")
    return state or TO_DECIDE


def show_nothing(state: str) -> None:
    """What it means that there is none."""
    if state == TO_DECIDE:
        st.success(
            "**Nothing to order.** For every item that can be judged, stock and dated deliveries last until the next review "
            "at the service level, or a person has decided.",
            icon=":material/check_circle:",
        )
    else:
        st.info(NOTHING[state], icon=":material/inbox:")


def show_list(served: Served, found: Suggestions, *, state: str) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The list with its filters, its sum and its export; returns what the filters leave, and what is chosen of that."""
    as_of, today = served.context.as_of_date, queries.now().date()
    shown = show_filters(found.frame, state=state)
    load = workload(shown, as_of=as_of)
    cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
    urgent = f" · **{load.urgent_count:,} to do today**" if state == TO_DECIDE else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        kinds = f": {format_kinds(load.count_by_kind, cost=cost)}" if load.count else ""
        st.markdown(f"**{format_count(load.count, 'suggestion')}**{kinds}{urgent}", width="content")
        kept = {name: st.session_state.get(name) or None for name in ("kind", "supplier", "location")}
        export_button(shown.drop("basis"), name="reorder-worklist", as_of=as_of, filters=kept)
    return shown, worklist(shown, state=state, as_of=as_of, today=today)


def show_chosen(served: Served, found: Suggestions, who: Acting, shown: pl.DataFrame, chosen: list[dict[str, Any]], *, state: str) -> None:
    """The answer to the last click; what to do with several; or one suggestion, which is the first until a person chooses.

    After a decision no other suggestion opens by itself: a second click on the same spot must not meet the next one's button.
    """
    today = queries.now().date()
    clock = found.standing.today if found.standing else today
    answer = last_answer()
    if answer is not None:
        answer_card(answer)
    if len(chosen) > 1:
        with st.container(border=True):
            bulk_panel(chosen, who, state=state, today=clock)
        return
    opened = chosen or (shown.head(1) if answer is None else answer.left_open(shown)).to_dicts()
    if opened:
        with st.container(border=True):
            suggestion_detail(served, opened[0], who, today=today, clock=clock)


def show_filters(frame: pl.DataFrame, *, state: str) -> pl.DataFrame:
    """Those in this state of the chosen kinds, suppliers and locations; nothing chosen is all. The choice stands in the address."""
    with st.container(horizontal=True):
        kinds = st.multiselect("Kind", list(KIND_NAMES.values()), placeholder="All kinds", bind="query-params", key="kind")
        suppliers = st.multiselect(
            "Supplier", frame["supplier"].unique().sort().to_list(), placeholder="All suppliers", bind="query-params", key="supplier"
        )
        locations = st.multiselect(
            "Location", frame["location"].unique().sort().to_list(), placeholder="All locations", bind="query-params", key="location"
        )
    return filtered(frame.filter(pl.col("state") == state), kinds=kinds, suppliers=suppliers, locations=locations)


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
