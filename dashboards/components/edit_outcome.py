"""What an edited quantity comes to beside the one proposed: the chance that it is enough, what is missed, and money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboards.components.formats import UNKNOWN, format_number, format_percent, format_price, format_units
from inventory.choices import choice_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inventory.choices import OrderChoice


def show_outcome(row: Mapping[str, Any], choices: Sequence[OrderChoice], *, qty: int) -> None:
    """The quantity beside the proposed one and none, as a table; a sentence where the release does not carry it."""
    if not choices:
        st.caption("What another quantity does to stock is not in this release; it is in every one from the next run on (`ordercast run`).")
        return
    st.table(outcome_rows(row, choices, qty=qty), border="horizontal", hide_index=True)
    edited = choice_at(choices, qty)
    if edited is None:
        st.caption(f"More than {format_units(choices[-1].qty)} units is not reckoned; the release knows up to twice what is proposed.")
    else:
        st.caption(
            "On average, from when it arrives until the order after it could, as simulated in the last run. "
            "Between the reckoned quantities money is at most this."
        )


def outcome_rows(row: Mapping[str, Any], choices: Sequence[OrderChoice], *, qty: int) -> list[dict[str, str]]:
    """A row per fact, with a column for the quantity, the proposed one and none."""
    columns = {f"{format_units(qty)} units": choice_at(choices, qty)}
    if qty != row["recommended_qty"]:
        columns |= {f"Proposed: {format_units(row['recommended_qty'])}": choice_at(choices, row["recommended_qty"])}
    columns |= {"None": choice_at(choices, 0)}
    currency = row["currency_code"]
    facts: dict[str, Callable[[OrderChoice], str]] = {
        "Chance that it is enough": lambda one: format_percent(one.enough_rate),
        "Units missed": lambda one: format_number(one.lost_mean_qty),
        "Margin lost": lambda one: format_price(one.lost_amount, currency),
        "Holding it": lambda one: format_price(one.holding_amount, currency),
    }
    return [{"": fact} | {name: UNKNOWN if one is None else said(one) for name, one in columns.items()} for fact, said in facts.items()]
