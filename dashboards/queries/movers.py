"""What moved and what drove it, as the overview and a metric's own page show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.queries.metrics import catalogue
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.stores.movers import EXPLAINED, Against, Mover, change_of, ranked, taken_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.metrics import Metric
    from pipelines.stores.releases import Release

# What a manager is asked about. The mean stands for the cycle time: a change of a median cannot be put down to members.
HEADLINES: Final = (
    "net_sales", "order_cycle_time_mean_days", "on_time_in_full", "line_fill_rate", "in_stock_rate", "stock_value", "return_rate",
    "cancellation_rate", "average_order_value", "open_orders", "touchless_rate", "perfect_order_rate",
)  # fmt: skip


def movers(served: Served, names: Sequence[str], filters: Filters, *, against: Against) -> list[Mover]:
    """These metrics over the chosen days, the most unusual change first; the first three with who drove them."""
    found = catalogue(served)
    with st.spinner("Looking for what moved"):
        in_order = ranked(_change(served.release, name, filters, against, found) for name in names if name in found)
        return [
            _explained(served.release, mover.metric.name, filters, against, found) if place < EXPLAINED else mover
            for place, mover in enumerate(in_order)
        ]


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _change(release: Release, name: str, filters: Filters, against: Against, _catalogue: Mapping[str, Metric]) -> Mover:
    with reading(release) as conn:
        return change_of(conn, _catalogue, name, days=filters.days, until=None, against=against, where=filters.where)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _explained(release: Release, name: str, filters: Filters, against: Against, _catalogue: Mapping[str, Metric]) -> Mover:
    mover = _change(release, name, filters, against, _catalogue)
    with reading(release) as conn:
        return taken_apart(conn, _catalogue, mover, filters.where)
