"""Which orders will miss their promise, why, and who does what until when?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards.components import at_risk_list, exception_list
from dashboards.components.at_risk_cards import risk_cards, show_basis
from dashboards.components.at_risk_detail import order_detail
from dashboards.components.at_risk_proof import show_held_out, show_past_alerts
from dashboards.components.exception_card import acknowledge_together, exception_card, show_told
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_money
from dashboards.components.frame import show_page
from dashboards.components.links import page_link
from dashboards.components.states import errors_as_sentences, show_not_available
from dashboards.components.worklist_cards import CARD_VIEW, show_view
from dashboards.decisions import acting
from dashboards.pages import page_spec
from dashboards.queries import at_risk, releases
from dashboards.queries.exceptions import STATES, exception_rows, exceptions, page_of
from dashboards.queries.names import member_names
from dashboards.queries.suggestions import who_looks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dashboards.decisions import Acting
    from dashboards.filters import Filters
    from dashboards.queries.at_risk import AtRisk
    from dashboards.queries.exceptions import Exceptions
    from dashboards.queries.releases import Served

ORDERS, OTHERS, PROOF = "Orders", "Other exceptions", "How good such alerts were"
_OPENED: Final = "opened_exception"
PARTS: Final = (ORDERS, OTHERS, PROOF)


def page(served: Served, filters: Filters) -> None:
    """The page's content."""
    now = releases.now()
    store = exceptions(now=now)
    if store.problem:
        st.warning(
            f"What became of exceptions is unknown, orders are shown as the release judges them: {escape_markdown(store.problem)}",
            icon=":material/cloud_off:",
        )
    found = None
    with errors_as_sentences("Orders at risk"):
        found = at_risk.at_risk(served, filters, store)
        if found.missing:
            show_not_available("Orders at risk", found.missing)
        else:
            risk_cards(found, store, as_of=served.context.as_of_date, is_narrowed=bool(filters.where))
            show_basis(found)
    part = st.segmented_control("Show", PARTS, default=ORDERS, required=True, bind="query-params", key="part", label_visibility="collapsed")
    with errors_as_sentences("This part"):
        if part == OTHERS:
            show_others(served, filters, store, now=now)
        elif part == PROOF:
            show_proof(served, found)
        elif found is not None and not found.missing:
            show_orders(served, filters, found, now=now)


def show_orders(served: Served, filters: Filters, found: AtRisk, *, now: datetime) -> None:
    """The orders by what is expected to be lost, and what was chosen of them."""
    who = show_who()
    if found.orders.is_empty():
        st.success("No open order has a promise to keep.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.segmented_control("Which", at_risk.SHOWN, default=at_risk.AT_RISK, required=True, bind="query-params", key="orders")
        listed = found.of(shown or at_risk.AT_RISK)
        owners = _filter("Who", "owner", sorted(set(found.orders["owner"].drop_nulls())))
        states = _filter("Exception", "state", STATES)
    rows = at_risk.narrowed(listed, owners=owners, states=states)
    if rows.is_empty():
        _nothing(listed)
        return
    stake = at_risk.expected(rows)
    st.markdown(
        f"**{format_count(rows.height, 'order')}**, {format_money(stake.amount, found.currency_code)} expected to be lost"
        " · what is expected to be lost most comes first"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        view = show_view()
        kept = filters.as_export() | {"orders": shown or at_risk.AT_RISK, "owner": owners, "state": states}
        as_of = served.context.as_of_date
        export_button(rows, name="orders-at-risk", as_of=as_of, filters=kept, definitions=at_risk_list.DEFINITIONS)
    clock = now.astimezone(ZoneInfo(served.context.reporting_time_zone)).date()
    draw = at_risk_list.order_cards if view == CARD_VIEW else at_risk_list.order_table
    chosen = draw(rows, today=as_of, clock=clock)
    for row in show_chosen(rows, chosen, who, key="order_id", opens_first=view != CARD_VIEW):
        with st.container(border=True):
            order_detail(served, filters, found, row, who, now=now)


def show_others(served: Served, filters: Filters, store: Exceptions, *, now: datetime) -> None:
    """Exceptions of all other kinds, and what was chosen of them."""
    who = show_who()
    zone, as_of = served.context.reporting_time_zone, served.context.as_of_date
    everything = exception_rows(store.others, zone=zone).drop("order_id", "is_new")
    if everything.is_empty():
        st.success("No other exception stands, and none was resolved in the last 28 days.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kinds = _filter("Kind", "kind", sorted(set(everything["kind"])))
        owners = _filter("Who", "owner", sorted(set(everything["owner"].drop_nulls())))
        states = _filter("State", "state", STATES[:-1], explained="None chosen shows all that are not resolved.")
    rows = at_risk.narrowed(everything, owners=owners, states=states or STATES[:-2])
    rows = rows.filter(rows["kind"].is_in(kinds)) if kinds else rows
    if rows.is_empty():
        _nothing(everything)
        return
    st.markdown(f"**{format_count(rows.height, 'exception')}** · critical ones first, then what is expected to be lost most")
    if filters.where:
        st.caption("Of the whole shop, whatever the page is narrowed to.")
    with st.container(horizontal=True, vertical_alignment="center"):
        view = show_view()
        kept = {"kind": kinds, "owner": owners, "state": states}
        export_button(rows, name="other-exceptions", as_of=as_of, filters=kept, definitions=exception_list.DEFINITIONS)
    clock = now.astimezone(ZoneInfo(zone)).date()
    draw = exception_list.exception_cards if view == CARD_VIEW else exception_list.exception_table
    chosen = draw(rows, clock=clock)
    for row in show_chosen(rows, chosen, who, key="exception_id", opens_first=view != CARD_VIEW):
        with st.container(border=True):
            _show_exception(served, filters, store, row, who, now=now)


def show_chosen(rows: pl.DataFrame, chosen: list[dict[str, Any]], who: Acting, *, key: str, opens_first: bool) -> list[dict[str, Any]]:
    """What became of the last click, and what to do with several rows; returns the one that stands open, none while several are chosen.

    Where none is chosen, it is the first. After a click it is the one that stood open, or none: a second click on the same spot must not
    meet another one's button.
    """
    told = show_told()
    if len(chosen) > 1:
        with st.container(border=True):
            acknowledge_together(chosen, who)
        return []
    if chosen:
        opened = chosen
    elif told:
        opened = rows.filter(pl.col(key) == st.session_state.get(_OPENED, "")).to_dicts()
    else:
        opened = rows.head(1).to_dicts() if opens_first else []
    st.session_state[_OPENED] = opened[0][key] if opened else ""
    return opened


def show_proof(served: Served, found: AtRisk | None) -> None:
    """How right such alerts were."""
    as_of = served.context.as_of_date
    if found is not None and not found.missing:
        show_held_out(found, as_of=as_of)
    show_past_alerts(as_of=as_of)


def show_who() -> Acting:
    """Who handles exceptions here, or why nobody does."""
    who = acting(who_looks())
    if who.why_not is not None:
        st.markdown(f":material/visibility: {escape_markdown(who.why_not)}")
    elif who.operator is not None:
        st.caption(f":material/person: You handle them as **{escape_markdown(who.operator.actor)}**, {who.operator.role}.")
    return who


def _show_exception(served: Served, filters: Filters, store: Exceptions, row: dict[str, Any], who: Acting, *, now: datetime) -> None:
    entry = next(one for one in store.entries if one.exception_id == row["exception_id"])
    name, address = page_of(entry, {dimension: member_names(served, dimension) for dimension in ("supplier", "sku")})
    st.subheader(escape_markdown(entry.title), anchor=False)
    st.markdown(escape_markdown(entry.detail))
    if entry.basis:
        st.caption(f"What is at stake: {escape_markdown(entry.basis)}.")
    page_link(served, filters, name, f"Look at it on {page_spec(name).title}", **address)
    exception_card(
        entry.exception_id, who, zone=served.context.reporting_time_zone, as_of=served.context.as_of_date, now=now
    )  # fmt: skip


def _nothing(listed: pl.DataFrame) -> None:
    if listed.is_empty():
        st.success("None: no open order is like this.", icon=":material/check_circle:")
    else:
        st.info("None is left by these filters. Clear a filter to see more.", icon=":material/filter_alt_off:")


def _filter(label: str, key: str, options: Sequence[str], *, explained: str | None = None) -> list[str]:
    return st.multiselect(label, options, placeholder="All", bind="query-params", key=key, help=explained)


show_page("at_risk", page)
