"""A list of which one row is opened or several are chosen, as a table or as cards; what is chosen is remembered by the row's id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.deciding import choices_made, choose, chosen_keys, open_only
from dashboards.components.formats import format_count
from dashboards.components.worklist_cards import CARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

_HEAD_PIXELS: Final = 37
_ROW_PIXELS: Final = 74  # three lines, so that most sentences are read whole
_ROWS_SHOWN: Final = 7


def pick_table(
    frame: pl.DataFrame, *, key: str, name: str, columns: Sequence[str], config: Mapping[str, Any], alt: str
) -> list[dict[str, Any]]:
    """The rows in their order; returns the chosen ones, none until a person chooses.

    Args:
        frame: All rows, and more columns than are shown.
        key: Column of the row's id.
        name: What the list is called in keys.
        columns: The columns shown.
        config: A column of `st.column_config` for each.
        alt: What it shows, for those who do not see it.
    """
    ids = frame[key].to_list()
    own = f"{name}-{choices_made()}-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}"
    if own not in st.session_state:
        before = [place for place, one in enumerate(ids) if one in chosen_keys()]
        st.session_state[own] = {"selection": {"rows": before, "columns": [], "cells": []}}
    selected = st.dataframe(
        frame.select(columns), column_config=dict(config), hide_index=True, row_height=_ROW_PIXELS, on_select="rerun",
        height=_ROW_PIXELS * min(frame.height, _ROWS_SHOWN) + _HEAD_PIXELS, selection_mode="multi-row", placeholder="-", key=own, alt=alt,
    )  # fmt: skip
    places = sorted(place for place in selected["selection"]["rows"] if place < frame.height)
    choose([ids[place] for place in places])
    return [frame.row(place, named=True) for place in places]


def pick_cards(frame: pl.DataFrame, *, key: str, name: str, noun: str, card: Callable[[Mapping[str, Any]], None]) -> list[dict[str, Any]]:
    """A page of cards in the frame's order; returns the one that was opened, which then stands alone with a way back.

    Args:
        frame: All rows.
        key: Column of the row's id.
        name: What the list is called in keys.
        noun: What one row is.
        card: Draws what a card says.
    """
    if opened := [row for row in frame.iter_rows(named=True) if row[key] in chosen_keys()]:
        st.button("Back to the list", icon=":material/arrow_back:", on_click=open_only, args=([],), key=f"{name}-back")
        return opened
    pages = -(-frame.height // CARDS)
    first = (min(st.session_state.get(f"{name}-page", 1), pages) - 1) * CARDS
    for row in frame.slice(first, CARDS).iter_rows(named=True):
        with st.container(border=True, gap="xsmall"):
            card(row)
            st.button("Open", icon=":material/open_in_full:", on_click=open_only, args=([row[key]],), key=f"open-{row[key]}")
    if pages > 1:
        st.pagination(pages, key=f"{name}-page")
        st.caption(f"{CARDS} of {format_count(frame.height, noun)} a page.")
    return []
