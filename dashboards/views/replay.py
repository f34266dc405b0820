"""What if something were otherwise, and what would last year have cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.baseline_panel import baseline_panel
from dashboards.components.experiment_panel import experiment_panel
from dashboards.components.frame import show_page
from dashboards.components.replay_panel import replay_panel
from dashboards.components.what_if_panel import what_if_panel

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

PARTS: Final = {"what-if": "What if", "past-year": "Past year", "experiments": "Experiments", "baseline": "Baseline"}


def page(served: Served, filters: Filters) -> None:
    """The page's content: only the chosen part is worked out."""
    part = st.segmented_control(
        "Part", list(PARTS.values()), default=PARTS["what-if"], required=True, bind="query-params", key="part",
        label_visibility="collapsed",
    )  # fmt: skip
    if part == PARTS["past-year"]:
        replay_panel(served, filters)
    elif part == PARTS["experiments"]:
        experiment_panel(served)
    elif part == PARTS["baseline"]:
        baseline_panel(served)
    else:
        what_if_panel(served)


show_page("replay", page)
