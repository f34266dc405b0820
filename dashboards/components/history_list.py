"""What happened to suggestions, newest first: who, when, what and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from dashboards import decisions
from dashboards.components.exports import export_button

if TYPE_CHECKING:
    from datetime import date


def history_list(zone: str, *, as_of: date) -> None:
    """The last steps of people, runs and the shop, with an export."""
    steps = decisions.history(zone)
    if steps.is_empty():
        st.info("Nothing has been decided yet.", icon=":material/history:")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"The last {decisions.HISTORY_ROWS} steps, times in {zone}; ordercast did what followed by itself.", width="content")
        export_button(steps, name="decision-history", as_of=as_of)
    column = st.column_config
    st.dataframe(
        steps.select("at", "actor", "action", "kind", "sku", "location_id", "qty", "why", "from_state", "to_state"),
        column_config={
            "at": column.DatetimeColumn("When", format="ddd D MMM HH:mm", width=120), "actor": column.TextColumn("Who", width=90),
            "kind": column.TextColumn("Of what", width=80),
            "sku": column.TextColumn("Item", width=90), "location_id": column.TextColumn("Location", width=110),
            "action": column.TextColumn("What", width=90), "qty": column.NumberColumn("Units", format="%,d", width=65),
            "why": column.TextColumn("Why", width=300), "from_state": column.TextColumn("From", width=80),
            "to_state": column.TextColumn("To", width=80),
        },
        hide_index=True, placeholder="-", alt="Steps of suggestions, newest first",
    )  # fmt: skip
