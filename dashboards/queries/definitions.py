"""What a metric means: its target through time, the fields it needs, and its value now beside all others of its domain."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from dashboards.queries.metrics import catalogue
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, read_frame, reading
from pipelines.stores.metrics import Metric, MetricValue, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.releases import Release


def values_now(served: Served, names: Sequence[str], filters: Filters) -> list[MetricValue]:
    """These metrics over the chosen days, without a course."""
    known, as_of = catalogue(served), served.context.as_of_date
    with st.spinner("Measuring"):
        return [_value(served.release, name, filters, as_of, known) for name in names]


def found(served: Served, words: str, *, domain: str | None) -> list[Metric]:
    """The metrics of a domain, or of all, whose name, label or definition holds all of the words; by domain and label."""
    asked = words.lower().split()
    return sorted(
        (
            metric
            for metric in catalogue(served).values()
            if domain in {None, metric.domain}
            and all(word in f"{metric.name} {metric.label} {metric.description} {metric.owner}".lower() for word in asked)
        ),
        key=lambda metric: (metric.domain, metric.label),
    )


def target_history(served: Served, name: str) -> pl.DataFrame:
    """Every line that people have set for this metric, newest first; empty in a release that knows no targets."""
    has_any = read_frame(
        served.release, "select count(*) from duckdb_tables() where schema_name = 'meta' and table_name = 'metric_targets'"
    ).item()
    if not has_any:
        return pl.DataFrame()
    return read_frame(served.release, _TARGETS, (name,))


def present_fields(served: Served) -> frozenset[str]:
    """The fields of the source contract that the merchant provides, as `orders.channel_id`."""
    fields = read_frame(served.release, "select table_name || '.' || field_name as field from meta.source_fields where is_present")
    return frozenset(fields["field"])


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _value(release: Release, name: str, filters: Filters, as_of: date, _catalogue: Mapping[str, Metric]) -> MetricValue:
    """A metric that has to mature covers as many days as the others, ending earlier."""
    since = as_of - timedelta(days=_catalogue[name].maturity_days + filters.days - 1)
    with reading(release) as conn:
        return evaluate(conn, _catalogue, [name], since=since, until=as_of, where=filters.where)[0]


_TARGETS = """
    select valid_from, valid_to, dimension, member, target, watch_band, direction, author, created_at
    from meta.metric_targets where metric = ? order by created_at desc, valid_from desc
"""
