"""How are we doing, and what needs me?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from dashboards import queries
from dashboards.components.exports import export_button
from dashboards.components.formats import format_count, format_kinds, format_money
from dashboards.components.kpi_card import kpi_card, kpi_export, kpi_table
from dashboards.components.states import (
    errors_as_sentences,
    page_head,
    show_freshness,
    show_not_available,
    show_nothing_published,
    show_store_problem,
)
from dashboards.suggestions import SECOND_PERSON, TO_DECIDE, suggestions, workload

if TYPE_CHECKING:
    from dashboards.queries import Served
    from dashboards.suggestions import Suggestions

PERIODS = (28, 91, 364)


def page() -> None:
    """The whole page."""
    page_head("Overview", "How are we doing, and what needs me?")
    with errors_as_sentences("The release"):
        served = queries.served()
        if served is None:
            show_nothing_published()
            return
        show_freshness(served, now=queries.now())
        with errors_as_sentences("What waits for you"):
            show_waiting(served)
        with errors_as_sentences("The KPIs"):
            show_kpis(served)


def show_kpis(served: Served) -> None:
    """Six cards over a chosen period, and the same as a table with an export."""
    st.subheader("How we are doing", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        days = st.segmented_control(
            "Period", PERIODS, default=PERIODS[0], format_func="{} days".format, required=True, bind="query-params", key="days"
        )
        kpis = queries.kpis(served, days=days or PERIODS[0])
        export_button(kpi_export(kpis), name="kpis", as_of=served.context.as_of_date)
    today = queries.now().date()
    with st.grid(3, min_column_width=280, border=True) as grid:
        for kpi in kpis:
            with grid.cell():
                kpi_card(kpi, today=today)
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(kpi_table(kpis, today=today), hide_index=True, placeholder="-", alt="KPIs with value, change, target and status")


def show_waiting(served: Served) -> None:
    """How many suggestions are open and what they cost, with the way to the worklist."""
    st.subheader("Waiting for you", anchor=False)
    if missing := queries.missing_tables(served, queries.PLANNING_TABLES):
        show_not_available("Reorder suggestions", missing)
        return
    found = suggestions(served)
    show_store_problem(found.store_problem)
    show_second_person(served, found)
    load = workload(found.of(TO_DECIDE), as_of=served.context.as_of_date)
    if load.count == 0:
        st.success(
            "No suggestion is open: stock and deliveries last until the next review, or a person has decided.",
            icon=":material/check_circle:",
        )
        return
    cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
    with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"**{format_count(load.count, 'suggestion')}**: {format_kinds(load.count_by_kind, cost=cost)} · "
            f"**{load.urgent_count:,} to do today**",
            width="content",
        )
        st.page_link(Path(__file__).with_name("reorder.py"), label="Open the worklist", icon=":material/arrow_forward:")


def show_second_person(served: Served, found: Suggestions) -> None:
    """Approvals that wait for a second person, in money; nothing where none does."""
    load = workload(found.of(SECOND_PERSON), as_of=served.context.as_of_date)
    if load.count:
        cost = " + ".join(format_money(amount, currency) for currency, amount in load.cost_by_currency.items())
        st.info(
            f"**{format_count(load.count, 'approval')} waiting for a second person**{f', {cost}' if cost else ''}", icon=":material/group:"
        )


page()
