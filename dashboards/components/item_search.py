"""Why an item is or is not on the list: a search by SKU or title."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown
from dashboards.components.states import errors_as_sentences
from dashboards.queries import reorder

if TYPE_CHECKING:
    from dashboards.queries.releases import Served

_DEFINITIONS: Final = {"answer": "Why it is on the list, or why not."}


def search_field() -> str:
    """The field; its text stands in the address."""
    return st.text_input(
        "Not on the list? Search an item to see why", placeholder="SKU or title", bind="query-params", key="item", icon=":material/search:",
        width=300,
    )  # fmt: skip


def show_found(served: Served, text: str) -> None:
    """What the text finds, nothing where there is none."""
    if text.strip():
        with errors_as_sentences("The search"):
            _show_found(served, text)


def _show_found(served: Served, text: str) -> None:
    found = reorder.find_items(served, text)
    if found.is_empty():
        st.info(f"No item has {escape_markdown(text)} in its SKU or title.", icon=":material/search_off:")
        return
    export_button(
        found, name="items-found", as_of=served.context.as_of_date, filters={"item": text}, definitions=COLUMN_WORDS | _DEFINITIONS
    )
    st.dataframe(
        found,
        column_config={
            "sku": st.column_config.TextColumn("Item", width=100),
            "title": st.column_config.TextColumn("Title", width=140),
            "location": st.column_config.TextColumn("Location", width=100),
            "on_hand_qty": st.column_config.NumberColumn("On hand (units)", format="%,d", width=110),
            "available_qty": st.column_config.NumberColumn("Available (units)", format="%,d", width=115),
            "inbound_qty": st.column_config.NumberColumn("Inbound (units)", format="%,d", width=110),
            "answer": st.column_config.TextColumn("Why", width=420),
        },
        hide_index=True,
        placeholder="-",
        key="found",
        alt="Items found, and why each is or is not on the list",
    )
    if found.height == reorder.SEARCH_ROWS:
        st.caption(f"The first {reorder.SEARCH_ROWS} matches; write more of the SKU to narrow them.")
