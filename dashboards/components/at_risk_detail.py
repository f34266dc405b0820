"""One open order: what its probability rests on, what is still to leave, its exception with what may be done, and the way to its story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.at_risk_list import amount_words, chance_badge, promise_words, state_badge
from dashboards.components.exception_card import exception_card
from dashboards.components.formats import escape_markdown, format_count, format_date, format_days, format_number, format_percent
from dashboards.components.links import page_link
from dashboards.components.tables import data_table
from dashboards.queries.at_risk import hours_in_stage, open_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from dashboards.decisions import Acting
    from dashboards.filters import Filters
    from dashboards.queries.at_risk import AtRisk
    from dashboards.queries.releases import Served

_BASES: Final = {
    "learned": "Learned from what became of past promises",
    "rates": "The plain share of such promises that were missed",
    "none": "Too few such promises came due to say a probability",
    "broken": "The promise is broken already",
}  # fmt: skip
_LINES: Final = {
    "sku": "Item.", "title": "Its name.", "location_id": "Where it is to leave from.", "open_qty": "Units that have not left.",
    "available_qty": "Units free at that place at the end of the as-of day; blank where no stock is known.",
    "inbound_date": "When the next units are expected there; blank where none are.",
}  # fmt: skip
_LABELS: Final = {
    "sku": "Item", "title": "Title", "location_id": "Leaves from", "open_qty": "To leave (units)", "available_qty": "Free there (units)",
    "inbound_date": "Next inbound",
}  # fmt: skip


def order_detail(served: Served, filters: Filters, found: AtRisk, row: Mapping[str, Any], who: Acting, *, now: datetime) -> None:
    """The order whole.

    Args:
        served: What is shown.
        filters: What the page is narrowed to, kept in the link.
        found: All that is known of open orders.
        row: One of `AtRisk.orders`.
        who: Who looks.
        now: The wall clock.
    """
    as_of, zone = served.context.as_of_date, served.context.reporting_time_zone
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(f"Order {escape_markdown(row['order_id'])}", anchor=False, width="content")
        chance_badge(row)
        state_badge(row)
    said = [promise_words(row, today=as_of), amount_words(row), row["location"], row["channel_id"], row["owner"]]
    st.markdown(" · ".join(escape_markdown(part) for part in said if part))
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**{escape_markdown(row['reason'])}**")
        for sentence in evidence(row, found, hours=hours_in_stage(served, dict(row)), today=as_of):
            st.markdown(f"- {escape_markdown(sentence)}")
        page_link(
            served, filters, "orders", f"Open everything that happened to {row['order_id']}", icon="timeline", order=row["order_id"]
        )  # fmt: skip
    with right:
        if row["exception_id"] is None:
            st.markdown("**No exception stands for it**")
            st.caption(_why_none(row, found.threshold))
        else:
            exception_card(row["exception_id"], who, zone=zone, as_of=as_of, now=now)
    _lines(served, row["order_id"], as_of=as_of)


def evidence(row: Mapping[str, Any], found: AtRisk, *, hours: float | None, today: date) -> list[str]:
    """What the probability is made of, a sentence each."""
    basis = _BASES.get(row["basis"], row["basis"]) + (f": {row['fallback_reason']}" if row["fallback_reason"] else ".")
    waited = "" if hours is None else f", for {format_number(hours)} hours" if hours < 48 else f", for {format_days(hours / 24)}"
    since = " (counted from the first unit that left)" if row["stage_number"] == 5 and hours is not None else ""
    sentences = [f"Stage: {row['stage']}{waited}{since}."]
    if row["promise_kind"] != "broken":
        working = format_count(row["working_days_left"], "working day")
        sentences.append(f"{working} left until the end of {format_date(row['due_date'], today=today)}.")
    sentences.append(basis)
    like = found.said_like(row["promise_kind"], row["chance_rate"])
    if like is not None:
        band = f"{100 * like['band_from']:.0f} to {100 * like['band_until']:.0f} %"
        sentences.append(
            f"Of 100 orders judged like this ({band}), {100 * like['missed_rate']:.0f} missed their promise: "
            f"{format_percent(like['missed_rate'])} of {format_count(like['snapshots_count'], 'evening')} that were held out."
        )
    return sentences


def _why_none(row: Mapping[str, Any], threshold: float | None) -> str:
    if row["promise_kind"] == "broken":
        return "Exceptions are raised while a promise can still be kept; this one is broken."
    if threshold is not None and row["chance_rate"] is not None and row["chance_rate"] >= threshold:
        return "The rule on orders has raised none: it may be switched off, ask for more, or not have looked at this release yet."
    return "Its probability is below that from which the rule on orders raises one."


def _lines(served: Served, order_id: str, *, as_of: date) -> None:
    lines = open_lines(served, order_id)
    if lines.is_empty():
        st.caption("Every unit has left.")
        return
    st.markdown(f"**{format_count(lines.height, 'line')} still to leave**")
    data_table(
        lines, name="at-risk-lines", as_of=as_of, alt=f"Lines of order {order_id} that have not left whole", labels=_LABELS,
        filters={"order_id": order_id}, definitions=_LINES,
    )  # fmt: skip
