"""Who comes back, what are they worth, and who is leaving?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.customer_answers import answers
from dashboards.components.customer_groups import show_best, show_bought_together, show_satisfaction, show_segments
from dashboards.components.customer_list import ONE_CUSTOMER, PART, part_button
from dashboards.components.customer_parts import show_coming_back, show_leaving, show_worth
from dashboards.components.customer_story import show_one_customer
from dashboards.components.drill import look_closed
from dashboards.components.frame import show_page
from dashboards.components.metric_panels import metric_cards, metric_course
from dashboards.filters import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

SHOWN: Final = (
    "active_customers",
    "new_customers",
    "repeat_rate_91_days",
    "churn_rate",
    "customer_lifetime_value_predicted",
    "satisfaction_mean_score",
)
GLANCE: Final = "At a glance"


def show_glance(served: Served, filters: Filters) -> None:
    """Six figures, then the answer of each part as the way to it."""
    metric_cards(served, SHOWN, filters, name="customers")
    st.markdown("**What stands out**")
    for part, answer in answers(served, filters):
        part_button(answer, part)
    metric_course(served, "active_customers", filters)


PARTS: Final[dict[str, Callable[[Served, Filters], None]]] = {
    GLANCE: show_glance,
    "Coming back": show_coming_back,
    "Leaving": show_leaving,
    "Worth": show_worth,
    "Segments": show_segments,
    "Best customers": show_best,
    "Bought together": show_bought_together,
    "Satisfaction": show_satisfaction,
    ONE_CUSTOMER: show_one_customer,
}


def page(served: Served, filters: Filters) -> None:
    """The page's content: one part, which the address names."""
    if "customer" in st.query_params and PART not in st.query_params and PART not in st.session_state:
        st.session_state[PART] = ONE_CUSTOMER  # a link that names a customer alone
    part = st.pills("Show", list(PARTS), default=GLANCE, required=True, bind="query-params", key=PART) or GLANCE
    if part != ONE_CUSTOMER:
        look_closed()
        st.query_params.pop("customer", None)
        if filters.where:
            narrowed = ", ".join(LABELS[name].lower() for name in filters.where)
            st.caption(f"Metrics are narrowed by {narrowed}. Cohorts, segments, lists of customers and pairs speak of all customers.")
    PARTS[part](served, filters)


show_page("customers", page)
