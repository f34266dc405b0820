"""What should we order today?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from dashboards.components.change_list import draft_changes
from dashboards.components.chosen import show_chosen
from dashboards.components.deciding import go_on, last_answer
from dashboards.components.draft_list import draft_orders, draft_words
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_kinds, format_money
from dashboards.components.frame import show_page
from dashboards.components.history_list import history_list
from dashboards.components.item_search import search_field, show_found
from dashboards.components.states import errors_as_sentences, show_not_available, show_store_problem
from dashboards.components.supplier_groups import SUPPLIER_KEY, approve_sure_button, groups_words, show_budget, supplier_groups
from dashboards.components.worklist import DUE_HELP, SURE_HELP, worklist
from dashboards.components.worklist_cards import CARD_VIEW, show_view, worklist_cards
from dashboards.components.worklist_columns import DEFINITIONS
from dashboards.decisions import acting
from dashboards.queries import forecasts, releases
from dashboards.queries.suggestions import (
    APPROVED,
    REJECTED,
    SECOND_PERSON,
    SNOOZED,
    STALE,
    STATES,
    TO_DECIDE,
    filtered,
    suggestions,
    workload,
)
from dashboards.queries.worklist import DUES, SURENESS, budget, narrowed, pressure, weighed
from dashboards.queries.worklist import supplier_groups as groups_of
from pipelines.decisions.wording import KIND_NAMES
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from dashboards.decisions import Acting
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.suggestions import Suggestions
    from dashboards.queries.worklist import Pressure

DRAFTS, HISTORY = "Drafts", "History"
SHOWN = (*STATES, DRAFTS, HISTORY)
FILTERS = ("kind", SUPPLIER_KEY, "at", "due", "sure")
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


def page(served: Served, filters: Filters) -> None:  # noqa: ARG001 - the list has filters of its own
    """The page's content."""
    if missing := releases.missing_tables(served, releases.PLANNING_TABLES):
        show_not_available("Reorder suggestions", missing)
        return
    with errors_as_sentences("The worklist"):
        found = suggestions(served)
        show_store_problem(found.store_problem)
        show_suggestions(served, found)


def show_suggestions(served: Served, found: Suggestions) -> None:
    """The suggestions of one state, what was chosen of them, and what may be done about it."""
    who = acting(found)
    if who.why_not and found.standing is not None:
        st.markdown(f":material/visibility: {escape_markdown(who.why_not)}")
    elif who.operator is not None:
        st.caption(f":material/person: You decide as **{escape_markdown(who.operator.actor)}**, {who.operator.role}.")
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        state = show_states()
        text = search_field()
    show_counts(found)
    show_found(served, text)
    context = served.context
    if state == HISTORY:
        history_list(context.reporting_time_zone, as_of=context.as_of_date)
        return
    if state == DRAFTS:
        show_drafted(found, served)
        return
    withheld = forecasts.withheld_reason(served)
    if state == TO_DECIDE and withheld:
        st.warning(
            f"**Suggestions are withheld**, because the forecasts broke: {escape_markdown(withheld)} "
            "Those proposed before stand in the operational store until they expire.",
            icon=":material/warning:",
        )
        return
    frame = weighed(served, found, settings=load_settings())
    listed = frame.filter(pl.col("state") == state)
    view, shown, chosen = show_list(served, found, who, listed, state=state) if listed.height else (None, listed, [])
    if listed.is_empty() and last_answer() is None:
        show_nothing(state)
    show_chosen(served, found, who, frame=frame, shown=shown, chosen=chosen, state=state, opens_first=view != CARD_VIEW)


def show_states() -> str:
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
    return state or TO_DECIDE


def show_counts(found: Suggestions) -> None:
    """What stands in each state; not in the buttons, whose labels stand in the address and would change with every decision."""
    counts = [f"{found.count(name):,} {WORDS[name]}" for name in STATES if found.count(name)]
    if found.standing is not None and (len(counts) > 1 or found.drafts.height):
        st.markdown(f":small[{' · '.join([*counts, *filter(None, [draft_words(found)])])}]")


def show_drafted(found: Suggestions, served: Served) -> None:
    """What was accepted and is not carried out in the shop yet."""
    if found.standing is None:
        st.info("Drafts stand in the operational store, which does not answer. Reload the page once it does.", icon=":material/cloud_off:")
        return
    draft_orders(found, as_of=served.context.as_of_date)
    draft_changes(found, as_of=served.context.as_of_date)


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


def show_list(
    served: Served, found: Suggestions, who: Acting, listed: pl.DataFrame, *, state: str
) -> tuple[str, pl.DataFrame, list[dict[str, Any]]]:
    """The list with its filters, its sums and its export; returns how it is shown, what the filters leave, and what is chosen of that."""
    as_of, today = served.context.as_of_date, releases.now().date()
    place, actions = st.container(), st.container(horizontal=True, vertical_alignment="center")
    with actions:
        view = show_view()
    with place:
        shown = show_filters(listed, is_short=view == CARD_VIEW)
    load = workload(shown, as_of=as_of)
    cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
    urgency = pressure(shown)
    urgent = f" · **{urgency.overdue_count:,} overdue, {urgency.today_count:,} to do today**" if state == TO_DECIDE else ""
    kinds = f": {format_kinds(load.count_by_kind, cost=cost)}" if load.count else ""
    place.markdown(f"**{format_count(load.count, 'suggestion')}**{kinds}{urgent}{at_risk_words(urgency, load.count)}")
    with actions:
        if state == TO_DECIDE:
            approve_sure_button(shown, who)
        kept = {"state": state} | {name: st.session_state.get(name) or None for name in (*FILTERS, "at-risk")}
        export_button(shown.drop("basis"), name="reorder-worklist", as_of=as_of, filters=kept, definitions=DEFINITIONS)
        if state == TO_DECIDE:
            show_budget(budget(served, found, settings=load_settings()), cost=load.cost_by_currency.get(served.context.currency_code, 0.0))
    if state == TO_DECIDE and (groups := groups_of(served, listed, found)).height > 1:
        with st.expander(groups_words(groups), icon=":material/storefront:"):
            supplier_groups(groups, as_of=as_of)
    if view == CARD_VIEW:
        return view, shown, worklist_cards(shown, who, as_of=as_of, today=today)
    return view, shown, worklist(shown, state=state, as_of=as_of, today=today)


def at_risk_words(urgency: Pressure, count: int) -> str:
    """What is at risk in all, and how far down the list most of it lies; "" where there is nothing or several currencies."""
    if urgency.at_risk_amount is None or urgency.currency_code is None:
        return ""
    most = f", four fifths of it in the first {urgency.holding_count:,}" if urgency.holding_count < count else ""
    return f" · {format_money(urgency.at_risk_amount, urgency.currency_code)} at risk{most}"


def show_filters(listed: pl.DataFrame, *, is_short: bool) -> pl.DataFrame:
    """Those that the filters leave; nothing chosen is all. What is chosen stands in the address."""
    where = st.expander("Filters", icon=":material/filter_alt:") if is_short else st.container(horizontal=True)
    with where:
        kinds = _filter("Kind", "kind", list(KIND_NAMES.values()))
        suppliers = _filter("Supplier", SUPPLIER_KEY, listed["supplier"].drop_nulls().unique().sort().to_list())
        locations = _filter("Location", "at", listed["location"].unique().sort().to_list())
        dues = _filter("Do by", "due", list(DUES), explained=DUE_HELP)
        sureness = _filter("Sure?", "sure", list(SURENESS), explained=SURE_HELP)
        least = st.number_input("At risk at least", min_value=0, value=0, step=50, bind="query-params", key="at-risk")
    kept = filtered(listed, kinds=kinds, suppliers=suppliers, locations=locations)
    return narrowed(kept, dues=dues, sureness=sureness, least=float(least))


def _filter(label: str, key: str, options: list[str], *, explained: str | None = None) -> list[str]:
    return st.multiselect(label, options, placeholder="All", bind="query-params", key=key, help=explained)


show_page("reorder", page)
