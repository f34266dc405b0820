"""What else could be done about the same item: open suggestions to move or change an order, with their money, and what was weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.deciding import open_only
from dashboards.components.formats import asked_words, escape_markdown, format_money
from dashboards.queries.suggestions import TO_DECIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import polars as pl

_STATES: Final = {TO_DECIDE: "not decided"}


def show_other_ways(others: pl.DataFrame, rejected: pl.DataFrame, suggestion: Mapping[str, Any], *, today: date) -> None:
    """Open suggestions about the same item, each with its money and a way to open it; then what the run weighed and did not take."""
    st.markdown("**Instead, or besides**")
    if others.is_empty():
        st.caption("No transfer and no change of an order that stands is proposed for this item here.")
    for row in others.iter_rows(named=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Open", icon=":material/open_in_full:", on_click=open_only, args=([row["recommendation_key"]],), type="tertiary",
                key=f"other-{row['recommendation_key']}",
            )  # fmt: skip
            place = "" if row["location"] == suggestion["location"] else f" at {escape_markdown(row['location'])}"
            st.markdown(
                f"{escape_markdown(asked_words(row, today=today))}{place}: {money_words(row)}, {state_words(row)}.", width="content"
            )
    for step, note in rejected.select("step", "note").iter_rows():
        st.caption(f"{escape_markdown(step)}: {escape_markdown(note or '')}")


def show_rests_on(suggestion: Mapping[str, Any]) -> None:
    """That the quantity takes something as accepted that nobody has accepted yet."""
    if suggestion.get("rests_on"):
        st.warning(
            f"**The quantity takes another suggestion as accepted**: {escape_markdown(suggestion['rests_on'])} Decide about that one first "
            "(below, under *Instead, or besides*); if it is rejected, the next run proposes more here.",
            icon=":material/call_merge:",
        )


def money_words(row: Mapping[str, Any]) -> str:
    """What it is expected to save and to cost, where known."""
    code = row["currency_code"] or ""
    saves = f"saves {format_money(row['at_risk'], code)} on average" if row["at_risk"] is not None else "saving not available"
    costs = row["cost_if_accepted"]
    parts = [saves, "cost not available" if costs is None else f"costs {format_money(costs, code)}"]
    if row["cost"] is not None:
        parts.append(f"{format_money(row['cost'], code)} to the supplier")
    return ", ".join(parts)


def state_words(row: Mapping[str, Any]) -> str:
    """Whether anybody has decided about it."""
    return str(_STATES.get(row["state"], str(row["state"]).lower()))
