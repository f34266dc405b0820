"""How many open orders may miss their promise, what that comes to, how many have, and what is overdue: four cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from dashboards.components.formats import UNKNOWN, escape_markdown, format_count, format_date, format_money, format_units
from dashboards.queries.at_risk import expected

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.at_risk import AtRisk
    from dashboards.queries.exceptions import Exceptions

_CARD_PIXELS = 230
_PROMISES = {"ship": "to leave", "delivery": "to arrive"}


def risk_cards(found: AtRisk, store: Exceptions, *, as_of: date, is_narrowed: bool) -> None:
    """The cards, each with its unit, its day and what it counts.

    Args:
        found: Open orders.
        store: Exceptions as they stand.
        as_of: The last complete day.
        is_narrowed: Whether the page speaks of a part of the shop; what was over with the last look is known of all of it alone.
    """
    risky, broken, day = found.risky, found.broken, format_date(as_of, today=as_of)
    at_stake, worth = expected(risky), expected(broken)
    least = UNKNOWN if found.threshold is None else f"{found.threshold:.0%}".replace("%", " %")
    with st.grid(4, min_column_width=_CARD_PIXELS, border=True) as grid:
        with grid.cell():
            st.metric(
                "Open orders at risk", format_units(risky.height),
                help=f"Orders that can still keep a promise and miss it with a probability of {least} or more, or have an exception "
                "that stands.",
            )  # fmt: skip
            st.caption(f"of {format_count(found.standing.height, 'open order')} that can still keep a promise · as of {day}")
            if changed := _changed(found, store, is_narrowed=is_narrowed):
                st.caption(changed)
        with grid.cell():
            st.metric(
                "Expected to be lost", format_money(at_stake.amount, found.currency_code),
                help="Probability times what each order at risk is worth, added up. It is the worth of orders, not a margin.",
            )  # fmt: skip
            st.caption(f"of {format_money(at_stake.worth_amount, found.currency_code)} that they are worth · as of {day}")
            _unpriced(at_stake.unknown_count)
        with grid.cell():
            st.metric("Already broken, still open", format_units(broken.height), help="Open orders with no promise left to keep.")
            st.caption(f"orders, worth {format_money(worth.worth_amount, found.currency_code)} · as of {day}")
            _unpriced(worth.unknown_count)
        with grid.cell():
            st.metric(
                "Overdue exceptions", UNKNOWN if store.problem else format_units(len(store.overdue)),
                help="Exceptions of all kinds past their due time that are neither snoozed nor resolved. Target: none.",
            )  # fmt: skip
            st.caption(
                "The operational store does not answer" if store.problem
                else f"of {format_count(len(store.due), 'exception')} that wait, of the whole shop · now · target 0"
            )  # fmt: skip


def show_basis(found: AtRisk) -> None:
    """What kinds of promise are not judged, or not by what was learned, and why."""
    for row in found.models.iter_rows(named=True):
        promise = f"Promises {_PROMISES[row['promise_kind']]} by a day"
        if row["not_available"] and not found.missing:
            st.caption(f":material/block: {promise}: not available, {escape_markdown(row['not_available'])}.")
        elif row["fallback_reason"] and not row["not_available"]:
            how = "plain rates" if row["basis"] == "rates" else "no probability"
            st.caption(f":material/info: {promise}: {how}. {escape_markdown(row['fallback_reason'])}")


def _changed(found: AtRisk, store: Exceptions, *, is_narrowed: bool) -> str:
    """What the last look of the rule changed; empty where it never found any."""
    if store.looked_at is None:
        return ""
    new = f"{found.risky['is_new'].sum():,} new with the last look"
    return new if is_narrowed else f"{new}, {store.no_more_count:,} at risk no more"


def _unpriced(count: int) -> None:
    if count:
        st.caption(f"without {format_count(count, 'order')} that have no exchange rate")
