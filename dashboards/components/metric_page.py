"""One metric on a page of its own: its value, what drove its change, its course, its members, what it means, and where to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.formats import escape_markdown, spoken
from dashboards.components.links import own_button, page_link
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.metric_story import metric_story
from dashboards.components.movers_panel import movers_panel
from dashboards.components.states import errors_as_sentences
from dashboards.filters import DIMENSIONS
from dashboards.pages import page_spec
from dashboards.queries import releases
from dashboards.queries.definitions import values_now
from dashboards.queries.movers import movers
from dashboards.queries.names import offered
from pipelines.stores.metrics import GRAINS, Grain

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.metrics import Metric
    from pipelines.stores.movers import Mover

# Where the rows behind a metric are shown, by its area; those about orders go on to the list of open ones.
PAGE_OF: Final = {
    "fulfilment": "fulfilment", "process": "fulfilment", "orders": "orders", "sales": "customers", "customers": "customers",
    "satisfaction": "customers", "returns": "returns", "stock": "stock", "forecasts": "demand", "suppliers": "suppliers",
    "cash": "suppliers", "reconciliation": "health",
}  # fmt: skip
_OF_ORDERS: Final = frozenset({"fulfilment", "process", "orders", "sales"})


def metric_page(served: Served, metric: Metric, filters: Filters) -> None:
    """The whole page of a metric. Grain and dimension stand in the address."""
    own_button("All metrics", icon="arrow_back", key="all-metrics", address={"metric": None})
    st.header(metric.label, anchor=False)
    left, right = st.columns([2, 3])
    with left:
        metric_cards(served, [metric.name], filters, name=metric.name, per_row=1)
    (value,) = values_now(served, [metric.name], filters)
    if value.status not in {"not_available", "blocked"}:
        with right, errors_as_sentences("What drove it"):
            movers_panel(served, movers(served, [metric.name], filters, against="prior"), filters, today=releases.now().date(),
                         look_closer=_by)  # fmt: skip
        with errors_as_sentences("The course"):
            show_course(served, metric, filters)
        with errors_as_sentences("The members"):
            show_members(served, metric, filters)
    metric_story(served, metric, value, filters)


def _by(mover: Mover, label: str, by: str | None) -> None:
    if by:
        own_button(label, icon="arrow_downward", key=f"explain-{mover.metric.name}-by-{by}", address={}, chosen={"by": by})


def show_course(served: Served, metric: Metric, filters: Filters) -> None:
    """The metric through time, by the grain chosen."""
    st.subheader("Through time", anchor=False)
    grain: Grain | None = st.segmented_control(
        "By", GRAINS, default="week", format_func=str.capitalize, required=True, bind="query-params", key="grain"
    )
    metric_course(served, metric.name, filters, grain=grain or "week")


def show_members(served: Served, metric: Metric, filters: Filters) -> None:
    """The metric by the members of a dimension, and one of them on other pages."""
    st.subheader("By whom", anchor=False)
    if not metric.dimensions:
        st.caption("This metric is measured as a whole: it cannot be split.")
        return
    by = st.selectbox("Split by", list(metric.dimensions), format_func=spoken, bind="query-params", key="by")
    metric_breakdown(served, metric.name, by, filters)
    go_on(served, metric, filters, by=by)


def go_on(served: Served, metric: Metric, filters: Filters, *, by: str) -> None:
    """Narrowing to one member, and links to the pages that show the rows behind the metric, which keep what it is narrowed to."""
    pages = dict.fromkeys([*filter(None, [PAGE_OF.get(metric.domain)]), *(["orders"] if metric.domain in _OF_ORDERS else [])])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if by in DIMENSIONS:
            names = offered(served, by)  # all of them, however narrow the page is: with other options the choice would be forgotten
            member = st.selectbox(
                f"Look closer at one {spoken(by)}", list(names), format_func=lambda one: names.get(one, one), index=None,
                placeholder="All", key=f"closer-{by}", width=260,
            )  # fmt: skip
            if member is not None:
                label = f"Narrow to {escape_markdown(names.get(member, member))}"
                own_button(label, icon="filter_alt", key="narrow-to-one", address={}, chosen={by: [member]})
        for page in pages:
            page_link(served, filters, page, page_spec(page).title, icon=page_spec(page).icon)
