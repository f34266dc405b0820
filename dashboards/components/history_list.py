"""What happened to suggestions, newest first: who, when, what and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards import decisions
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from datetime import date

_DEFINITIONS: Final = {
    "at": "When, in the shop's time zone.",
    "actor": "Who did it; ordercast is the run that follows the shop and the days.",
    "action": "What was done.",
    "kind": "What the suggestion asks for.",
    "sku": "The item.",
    "location_id": "Where its units are wanted.",
    "qty": "Units that came of it; blank where none are meant.",
    "why": "The reason given.",
    "from_state": "The suggestion's status before.",
    "to_state": "Its status since.",
}


def history_list(zone: str, *, as_of: date) -> None:
    """The last steps of people, runs and the shop, with an export."""
    steps = decisions.history(zone)
    if steps.is_empty():
        st.info("Nothing has been decided yet.", icon=":material/history:")
        return
    st.caption(f"The last {decisions.HISTORY_ROWS} steps, times in {zone}; ordercast did what followed by itself.")
    column = st.column_config
    data_table(
        steps, name="decision-history", as_of=as_of, alt="Steps of suggestions, newest first", columns=tuple(_DEFINITIONS),
        labels={
            "at": column.DatetimeColumn("When", format="ddd D MMM HH:mm", width=120), "actor": column.TextColumn("Who", width=90),
            "kind": column.TextColumn("Of what", width=80),
            "sku": column.TextColumn("Item", width=90), "location_id": column.TextColumn("Location", width=110),
            "action": column.TextColumn("What", width=90), "qty": column.NumberColumn("Units", format="%,d", width=65),
            "why": column.TextColumn("Why", width=300), "from_state": column.TextColumn("From", width=80),
            "to_state": column.TextColumn("To", width=80),
        },
        filters={}, definitions=_DEFINITIONS,
    )  # fmt: skip
