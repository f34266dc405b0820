"""What comes back, why, and what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.frame import show_page
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.return_causes import show_causes
from dashboards.components.return_parts import show_cost, show_exchanges, show_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

SHOWN: Final = (
    "return_rate",
    "returned_units",
    "refunds",
    "return_cycle_time_p50_days",
    "exchange_share",
    "return_cost_to_serve",
)
GLANCE: Final = "At a glance"


def show_glance(served: Served, filters: Filters) -> None:
    """Six figures, and the return rate by when goods left."""
    metric_cards(served, SHOWN, filters, name="returns")
    metric_course(served, "return_rate", filters)
    st.caption(
        "By the week in which goods left: customers have 30 days to return, so the last 30 days are left out; a younger week would look "
        "better than it is. A week that is dashed is not wholly 30 days old."
    )
    metric_breakdown(served, "return_rate", "category", filters)


PARTS: Final[dict[str, Callable[[Served, Filters], None]]] = {
    GLANCE: show_glance,
    "What and why": show_causes,
    "Stages": show_stages,
    "Exchanges": show_exchanges,
    "Cost": show_cost,
}


def page(served: Served, filters: Filters) -> None:
    """The page's content: one part, which the address names."""
    part = st.pills("Show", list(PARTS), default=GLANCE, required=True, bind="query-params", key="what") or GLANCE
    PARTS[part](served, filters)


show_page("returns", page)
