"""The worklist as cards, for a phone or for whoever works by keyboard: each with what matters, a way to accept it and one to open it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import streamlit as st

from dashboards.components.deciding import chosen_keys, open_only
from dashboards.components.decision_card import approve_button
from dashboards.components.formats import escape_markdown, format_count, format_money
from dashboards.components.worklist import DUE_HELP, SURE_HELP, due_words, show_nothing_left, sure_words, what_words
from dashboards.queries.suggestions import SECOND_PERSON, TO_DECIDE
from dashboards.queries.worklist import DEARER, OVERDUE, SURE, TODAY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import polars as pl

    from dashboards.decisions import Acting

CARDS: Final = 10
TABLE_VIEW, CARD_VIEW = "Table", "Cards"
_Color = Literal["red", "orange", "green", "gray"]
_DUE_BADGES: Final[dict[str, tuple[str, _Color]]] = {OVERDUE: (":material/alarm:", "red"), TODAY: (":material/today:", "orange")}
_SURE_BADGES: Final[dict[str, tuple[str, _Color]]] = {SURE: (":material/verified:", "green"), DEARER: (":material/balance:", "orange")}


def show_view() -> str:
    """Table or cards, as the address says; on a phone cards unless it says otherwise."""
    asked = st.query_params.get("view", "").title()
    usual = CARD_VIEW if is_phone(st.context.headers) else TABLE_VIEW
    view = st.segmented_control(
        "View", [TABLE_VIEW, CARD_VIEW], default=asked if asked in {TABLE_VIEW, CARD_VIEW} else usual, required=True, bind="query-params",
        key="view", label_visibility="collapsed",
    )  # fmt: skip
    return view or TABLE_VIEW


def is_phone(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that it is on a phone."""
    told = {name.lower(): value for name, value in headers.items()}
    return told.get("sec-ch-ua-mobile") == "?1" or "Mobi" in told.get("user-agent", "")


def worklist_cards(frame: pl.DataFrame, who: Acting, *, as_of: date, today: date) -> list[dict[str, Any]]:
    """A page of cards in the list's order; returns the one that was opened, which then stands alone with a way back."""
    if frame.is_empty():
        show_nothing_left()
        return []
    if opened := [row for row in frame.iter_rows(named=True) if row["recommendation_key"] in chosen_keys()]:
        st.button("Back to the list", icon=":material/arrow_back:", on_click=open_only, args=([],), key="cards-back")
        return opened
    pages = -(-frame.height // CARDS)
    page = st.session_state.get("cards-page", 1)
    first = (min(page, pages) - 1) * CARDS
    for row in frame.slice(first, CARDS).iter_rows(named=True):
        with st.container(border=True, gap="xsmall"):
            _card(row, who, as_of=as_of, today=today)
    if pages > 1:
        st.pagination(pages, key="cards-page")
        st.caption(f"{CARDS} of {format_count(frame.height, 'suggestion')} a page.")
    return []


def _card(row: Mapping[str, Any], who: Acting, *, as_of: date, today: date) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        if said := due_words(row, as_of=as_of, today=today):
            icon, color = _DUE_BADGES.get(row["due"], (":material/event:", "gray"))
            st.badge(said, icon=icon, color=color, help=DUE_HELP)
        if row["sure"] is not None:
            icon, color = _SURE_BADGES.get(row["sure"], (":material/help:", "gray"))
            st.badge(sure_words(row) or "", icon=icon, color=color, help=SURE_HELP)
    st.markdown(f"**{escape_markdown(' '.join([row['sku'], row['title'], '·', row['location']]))}**")
    money = [f"{format_money(row['at_risk'], row['currency_code'])} at risk"] if row["at_risk"] else []
    if row["cost"] is not None:
        money.append(f"costs {format_money(row['cost'], row['currency_code'])}")
    st.markdown(f"{escape_markdown(what_words(row, today=today))} · {' · '.join(money)}")
    st.caption(escape_markdown(row["reason"]))
    with st.container(horizontal=True, gap="small"):
        if row["state"] in {TO_DECIDE, SECOND_PERSON} and who.may_decide(row):
            approve_button(row, who, today=today)
        st.button(
            "Open", icon=":material/open_in_full:", on_click=open_only, args=([row["recommendation_key"]],),
            key=f"open-{row['recommendation_key']}",
        )  # fmt: skip
