"""How are we doing, and what needs me?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.formats import format_count, format_kinds, format_money, spoken
from dashboards.components.frame import show_page
from dashboards.components.links import page_link
from dashboards.components.metric_panels import metric_cards
from dashboards.components.movers_panel import movers_panel
from dashboards.components.score_panel import score_panel
from dashboards.components.states import (
    errors_as_sentences,
    show_not_available,
    show_store_problem,
)
from dashboards.queries import releases
from dashboards.queries.at_risk import at_risk, expected, is_judged
from dashboards.queries.exceptions import Exceptions
from dashboards.queries.metrics import OVERVIEW_KPIS
from dashboards.queries.movers import HEADLINES, movers
from dashboards.queries.outcomes import scores
from dashboards.queries.suggestions import SECOND_PERSON, TO_DECIDE, suggestions, workload

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.suggestions import Suggestions
    from pipelines.stores.movers import Against, Mover

# By what a reader looks closer at each card first.
DRILLS: Final = {
    "net_sales": "channel", "order_cycle_time_p50_days": "carrier", "on_time_in_full": "location", "line_fill_rate": "location",
    "in_stock_rate": "category", "stock_value": "location",
}  # fmt: skip
AGAINST: Final[dict[str, Against]] = {"the period before": "prior", "the same weeks last year": "last_year"}


def page(served: Served, filters: Filters) -> None:
    """The page's content."""
    with errors_as_sentences("The KPIs"):
        metric_cards(served, OVERVIEW_KPIS, filters, name="kpis", drills=DRILLS)
    left, right = st.columns([3, 2], gap="large")
    with left, errors_as_sentences("What moved"):
        show_moved(served, filters)
    with right:
        with errors_as_sentences("What waits for you"):
            found = show_waiting(served)
            if found is not None and filters.where:
                st.caption("Of the whole shop, whatever the page is narrowed to.")
        with errors_as_sentences("Orders at risk"):
            show_at_risk(served, filters)
        with errors_as_sentences("The scorecard of suggestions"):
            st.subheader("What suggestions were worth", anchor=False)
            standing = found.standing if found else None
            score_panel(scores(served, standing.operator if standing else None))


def show_moved(served: Served, filters: Filters) -> None:
    """The three most unusual changes among the headlines, and who drove them."""
    st.subheader("What moved, and what drove it", anchor=False)
    against = st.segmented_control(
        "Compared with", list(AGAINST), default="the period before", required=True, bind="query-params", key="against"
    )
    found = movers(served, HEADLINES, filters, against=AGAINST[against or "the period before"])

    def look_closer(mover: Mover, label: str, by: str | None) -> None:
        page_link(served, filters, "metrics", label, metric=mover.metric.name, **({"by": spoken(by)} if by else {}))

    movers_panel(served, found, filters, today=releases.now().date(), look_closer=look_closer)


def show_waiting(served: Served) -> Suggestions | None:
    """How many suggestions are open and what they cost, with the way to the worklist; what is open, where anything can be."""
    st.subheader("Waiting for you", anchor=False)
    if missing := releases.missing_tables(served, releases.PLANNING_TABLES):
        show_not_available("Reorder suggestions", missing)
        return None
    found = suggestions(served)
    show_store_problem(found.store_problem)
    show_second_person(served, found)
    load = workload(found.of(TO_DECIDE), as_of=served.context.as_of_date)
    if load.count == 0:
        st.success(
            "No suggestion is open: stock and deliveries last until the next review, or a person has decided.",
            icon=":material/check_circle:",
        )
        return found
    cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"**{format_count(load.count, 'suggestion')}**: {format_kinds(load.count_by_kind, cost=cost)} · "
            f"**{load.urgent_count:,} to do today**",
            width="content",
        )
        st.page_link(Path(__file__).with_name("reorder.py"), label="Open the worklist", icon=":material/arrow_forward:")
    return found


def show_at_risk(served: Served, filters: Filters) -> None:
    """How many open orders may miss their promise and what that comes to, with the way to them; nothing where none does."""
    if not is_judged(served):
        return
    found = at_risk(served, filters, Exceptions(()))
    if found.missing or found.risky.is_empty():
        return
    lost = format_money(expected(found.risky).amount, found.currency_code)
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{format_count(found.risky.height, 'open order')} at risk**: {lost} expected to be lost", width="content")
        page_link(served, filters, "at_risk", "Open the orders")


def show_second_person(served: Served, found: Suggestions) -> None:
    """Approvals that wait for a second person, in money; nothing where none does."""
    load = workload(found.of(SECOND_PERSON), as_of=served.context.as_of_date)
    if load.count:
        cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
        st.info(
            f"**{format_count(load.count, 'approval')} waiting for a second person**{f', {cost}' if cost else ''}", icon=":material/group:"
        )


show_page("overview", page)
