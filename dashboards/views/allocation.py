"""Who gets what is scarce, and what should move where?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from dashboards.components.change_list import draft_changes
from dashboards.components.chosen import show_chosen
from dashboards.components.deciding import last_answer
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_money
from dashboards.components.frame import show_page
from dashboards.components.lane_summary import lane_summary
from dashboards.components.rule_form import rule_form
from dashboards.components.rule_list import revert_rule, rule_list
from dashboards.components.states import errors_as_sentences, show_not_available, show_store_problem
from dashboards.components.worklist import worklist
from dashboards.components.worklist_cards import CARD_VIEW, show_view, worklist_cards
from dashboards.components.worklist_columns import DEFINITIONS
from dashboards.decisions import acting
from dashboards.queries import releases
from dashboards.queries.allocation import lanes
from dashboards.queries.rules import rule_book
from dashboards.queries.suggestions import TO_DECIDE, at_risk_by_currency, suggestions
from dashboards.queries.worklist import weighed
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from dashboards.decisions import Acting
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.suggestions import Suggestions

SCARCE, TRANSFERS, RULES = "Scarce items", "Transfers", "Rules"
KINDS = {SCARCE: "allocate", TRANSFERS: "transfer"}
NONE = {
    SCARCE: "**Nothing is scarce.** No open order line wants more than lies at its location or comes in time, or a person has decided.",
    TRANSFERS: "**Nothing should move.** No location can spare units that would save more sales elsewhere, or a person has decided.",
}


def page(served: Served, filters: Filters) -> None:  # noqa: ARG001 - it speaks of all that is open
    """The page's content."""
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        part = st.segmented_control(
            "Show", (SCARCE, TRANSFERS, RULES), default=SCARCE, required=True, bind="query-params", key="part", label_visibility="collapsed"
        )
        view = show_view() if part != RULES else None
    if missing := releases.missing_tables(served, releases.PLANNING_TABLES):
        show_not_available("Allocation, transfers and policy rules", missing)
        return
    found = suggestions(served)
    who = acting(found)
    if who.why_not and found.standing is not None:
        st.markdown(f":material/visibility: {escape_markdown(who.why_not)}")
    if part == RULES:
        with errors_as_sentences("The rules"):
            show_rules(served, who)
        return
    with errors_as_sentences("The suggestions"):
        show_store_problem(found.store_problem)
        show_kind(served, found, who, part=part or SCARCE, is_cards=view == CARD_VIEW)


def show_kind(served: Served, found: Suggestions, who: Acting, *, part: str, is_cards: bool) -> None:
    """What is proposed of this kind, what it comes to, and one of it opened."""
    as_of, today = served.context.as_of_date, releases.now().date()
    frame = weighed(served, found, settings=load_settings())
    of_kind = frame.filter(kind=KINDS[part])
    listed = of_kind.filter(state=TO_DECIDE)
    if others := of_kind.height - listed.height:
        st.caption(f"{format_count(others, 'more')} decided, snoozed or stale: [the reorder worklist](reorder) lists them by state.")
    if listed.is_empty() and last_answer() is None:
        if part == TRANSFERS and (missing := releases.missing_tables(served, ["transfers"])):
            show_not_available("Transfers", missing)
            return
        st.success(NONE[part], icon=":material/check_circle:")
        return
    if part == TRANSFERS and listed.height:
        lane_summary(lanes(listed), as_of=as_of)
    elif listed.height:
        st.markdown(f"**{scarce_words(listed)}**")
    chosen = []
    if listed.height:
        export_button(
            listed.drop("basis", strict=False), name=part.lower().replace(" ", "-"), as_of=as_of, filters={"state": TO_DECIDE},
            definitions=DEFINITIONS,
        )  # fmt: skip
        chosen = (
            worklist_cards(listed, who, as_of=as_of, today=today)
            if is_cards
            else worklist(listed, state=TO_DECIDE, as_of=as_of, today=today)
        )
    show_chosen(served, found, who, frame=frame, shown=listed, chosen=chosen, state=TO_DECIDE, opens_first=not is_cards)
    if part == SCARCE and found.standing is not None:
        draft_changes(replace(found, changes=found.changes.clear()), as_of=as_of)


def scarce_words(listed: pl.DataFrame) -> str:
    """How many items at locations are short, and what is at risk with them."""
    risks = [format_money(amount, code) for code, amount in at_risk_by_currency(listed).items()]
    return f"{format_count(listed.height, 'item')} with more wanted than is there and comes in time; {' + '.join(risks) or '-'} at risk"


def show_rules(served: Served, who: Acting) -> None:
    """How stock is kept, as rules: what stands, its history, and for admins how it is changed."""
    book = rule_book(served)
    today = releases.now().date()
    actor = who.operator.actor if who.operator is not None and who.operator.is_at_least("admin") else None
    rule_list(book, as_of=served.context.as_of_date, today=today)
    st.caption(
        "Of several rules the narrowest wins, setting by setting: item before location, channel, supplier, category, ABC, XYZ; then the "
        "higher priority, then the newer. What no rule sets comes from the settings. Rules count from the next run on."
    )
    if actor is not None:
        revert_rule(book, actor)
    elif book.names:
        st.markdown(":material/lock: Only an admin may revert a rule.")
    st.subheader("Write a rule", anchor=False)
    rule_form(served, book, actor=actor, today=today)


show_page("allocation", page)
