"""One customer: who they are to the shop, whether they are still there, and everything that happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboards.components.customer_groups import ADVICE, segment_name
from dashboards.components.drill import look_closed, record_look
from dashboards.components.formats import escape_markdown, format_date, format_money, format_number, format_percent, format_units
from dashboards.components.links import page_link
from dashboards.components.states import show_not_available
from dashboards.components.timeline import timeline
from dashboards.queries.reports import report
from dashboards.queries.timelines import customer_story
from pipelines.errors import ReportError
from pipelines.stores.timelines import why_not_judged

if TYPE_CHECKING:
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.timelines import Timeline

_CUSTOMER, _UNKNOWN, _ASKED = "customer", "unknown_customer", "customer_asked"


def show_one_customer(served: Served, filters: Filters) -> None:
    """Finds a customer by key or by the shop's own id, and shows their story once the look at it is recorded.

    The address holds the key alone: an id that is typed, or that stands in a link, is replaced by it.
    """
    if missing := report(served, "top_customers", limit=1).missing:
        show_not_available("A customer's timeline", missing)
        return
    with st.form("find-customer", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Customer",
            key=_ASKED,
            max_chars=200,
            placeholder="The shop's customer id, or the key that lists show",
            help="An id is turned into the customer's key at once; the address and the access log hold the key alone.",
        )
        st.form_submit_button("Open customer", icon=":material/search:", on_click=_find, args=(served,))
    if unknown := st.session_state.pop(_UNKNOWN, None):
        st.warning(escape_markdown(unknown), icon=":material/person_off:")
    asked = st.query_params.get(_CUSTOMER)
    if asked is None:
        look_closed()
        st.info("Type a customer's id or key, or choose a row in Leaving, Segments or Best customers. Every look at one customer is "
                "recorded in the access log before anything is shown.", icon=":material/person_search:")  # fmt: skip
        return
    try:
        story = customer_story(served, asked)
    except ReportError as exc:
        look_closed()
        st.warning(escape_markdown(str(exc)), icon=":material/person_off:")
        return
    if story.customer_key != asked:
        st.query_params[_CUSTOMER] = str(story.customer_key)
    record_look(story)
    _show_story(served, filters, story)


def standing_words(status: dict[str, Any] | None) -> str:
    """Whether the customer is still there and what to expect, with the model's error; or why nobody can say."""
    if status is None:
        return "Whether this customer is still there is not known: the run made no scores."
    if reason := why_not_judged(status):
        return reason
    verdict = "Likelier gone than still there" if status["is_churned"] else "Probably still there"
    errors = {"purchases": status["holdout_bias_rate"], "sales": status["holdout_value_bias_rate"]}
    known = [f"{rate:+.1%} in {name}".replace("%", " %") for name, rate in errors.items() if rate is not None]
    return f"{verdict}. For all customers the model was off by {' and '.join(known)} in its hold-out." if known else f"{verdict}."


def _find(served: Served) -> None:
    """The customer who was typed is in the address by key; what was typed is forgotten."""
    asked = str(st.session_state.pop(_ASKED, "")).strip()
    if not asked:
        return
    try:
        st.query_params[_CUSTOMER] = str(customer_story(served, asked).customer_key)
    except ReportError as exc:
        st.session_state[_UNKNOWN] = str(exc)


def _show_story(served: Served, filters: Filters, story: Timeline) -> None:
    profile, status = story.profile or {}, story.status
    as_of, key = served.context.as_of_date, str(story.customer_key)
    st.subheader(f"Customer {key[:8]}", anchor=False, help=f"Key {key}: stands for the shop's customer id, which is not kept here.")
    _show_figures(served, profile, status, as_of)
    if segment := profile.get("segment"):
        who, to_do = ADVICE.get(segment, ("", ""))
        to_do = "Silent for longer than their own rhythm: ask now" if status and status["is_churned"] else to_do
        st.markdown(f"**{segment_name(segment)}**: {who.lower()}. {to_do}.")
    st.markdown(f":material/psychology: {escape_markdown(standing_words(status))}")
    timeline(story.events, zone=served.context.reporting_time_zone, name="customer-timeline", as_of=as_of, shows_orders=True,
             filters={"customer_key": key}, alt="What happened to this customer, oldest first")  # fmt: skip
    orders = story.events["order_id"].drop_nulls().unique(maintain_order=True).to_list() if story.events.height else []
    if orders:
        chosen = st.selectbox("One order's timeline", orders[::-1], index=None, placeholder="Choose an order", key=f"order-of-{key}")
        if chosen:
            page_link(served, filters, "orders", f"Open the timeline of order {chosen}", order=chosen)


def _show_figures(served: Served, profile: dict[str, Any], status: dict[str, Any] | None, as_of: date) -> None:
    currency, status = served.context.currency_code, status or {}
    figures = [
        (
            "Net sales so far",
            format_money(profile.get("net_reporting_amount"), currency),
            "Sales less refunds, without cancelled and test orders.",
        ),
        ("Orders", format_units(profile.get("order_count")), "Orders so far, without cancelled and test orders."),
        ("Last order", format_date(profile.get("last_order_date"), today=as_of), "The day of the newest of those orders."),
        (
            "P(alive)",
            format_percent(None if status.get("is_one_time") else status.get("p_alive")),
            "Probability that the customer has not left, by BG/NBD; unknown for one purchase day.",
        ),
        (
            "Expected in 364 days",
            format_money(status.get("lifetime_value_364_days_amount"), currency),
            "Expected purchases times their amount, before refunds; sales, not margin.",
        ),
        ("Purchases expected", format_number(status.get("expected_purchases_364_days")), "In the next 364 days."),
    ]
    with st.grid(3, min_column_width=150, border=True) as grid:
        for label, value, explained in figures:
            with grid.cell():
                st.metric(label, value, help=explained)
