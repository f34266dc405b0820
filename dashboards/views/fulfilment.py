"""Do orders arrive complete and on time, and where do they wait?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.frame import show_page
from dashboards.components.fulfilment_panels import (
    show_arrivals,
    show_backlog,
    show_carriers,
    show_fill_rates,
    show_orders,
    show_stages,
)
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.process_panels import show_process, show_touches
from dashboards.components.states import errors_as_sentences

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

SHOWN: Final = (
    "on_time_in_full",
    "order_cycle_time_p50_days",
    "line_fill_rate",
    "perfect_order_rate",
    "overdue_open_orders",
    "touchless_rate",
)
DIMENSIONS: Final = ("location", "channel", "carrier", "country")


def page(served: Served, filters: Filters) -> None:
    """The page's content: how it stands, then one part at a time."""
    metric_cards(served, SHOWN, filters, name="fulfilment")
    part = st.segmented_control("Look into", list(PARTS), default="On time", required=True, key="part", bind="query-params", wrap=True)
    with errors_as_sentences(str(part)):
        PARTS[part or "On time"](served, filters)


def _dimension(*offered: str) -> str:
    by = st.segmented_control(
        "By", offered, default=offered[0], required=True, format_func=str.capitalize, key="by", bind="query-params"
    )  # fmt: skip
    return by if by in offered else offered[0]


def _on_time(served: Served, filters: Filters) -> None:
    by = _dimension(*DIMENSIONS)
    left, right = st.columns(2, gap="large")
    with left:
        metric_breakdown(served, "on_time_in_full", by, filters)
    with right:
        metric_course(served, "on_time_in_full", filters)
    show_arrivals(served, filters)
    show_orders(served, filters, by)


def _fill(served: Served, filters: Filters) -> None:
    show_fill_rates(served, filters, _dimension("location", "channel", "country"))


def _stages(served: Served, filters: Filters) -> None:
    show_stages(served, filters, _dimension(*DIMENSIONS))


PARTS: Final[dict[str, Callable[[Served, Filters], None]]] = {
    "On time": _on_time, "Fill rates": _fill, "Stages": _stages, "Carriers": show_carriers, "Backlog": show_backlog,
    "Process": show_process, "Touches": show_touches,
}  # fmt: skip

show_page("fulfilment", page)
