"""What does each figure mean, and where does it come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.frame import show_page
from dashboards.components.metric_list import metric_list
from dashboards.components.metric_page import metric_page
from dashboards.components.states import errors_as_sentences
from dashboards.queries.definitions import found
from dashboards.queries.metrics import catalogue
from pipelines.stores.metrics_catalogue import find_metric

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

FIRST: Final = "fulfilment"  # the area a reader sees who looks for nothing yet


def page(served: Served, filters: Filters) -> None:
    """One metric where the address names it, else those of an area or of a search."""
    name = st.query_params.get("metric")
    with errors_as_sentences("The metric"):
        if name:
            metric_page(served, find_metric(catalogue(served), name), filters)
            return
    show_list(served, filters)


def show_list(served: Served, filters: Filters) -> None:
    """A search over all definitions, and the areas."""
    areas = sorted({metric.domain for metric in catalogue(served).values()})
    words = st.text_input("Search", placeholder="fill, churn, overdue, ...", icon=":material/search:", bind="query-params", key="search")
    area = st.pills(
        "Area", areas, default=FIRST if FIRST in areas else None, format_func=str.capitalize, bind="query-params", key="area",
        disabled=bool(words), help="A search looks through all areas.",
    )  # fmt: skip
    metric_list(served, found(served, words, domain=None if words else area), filters, total=len(catalogue(served)))


show_page("metrics", page)
