"""Many metrics, each with its value now, its status and its definition, and the way to its own page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_change_of, format_sample, spoken
from dashboards.components.kpi_card import STATUSES, format_target, format_value
from dashboards.components.links import own_button
from dashboards.components.metric_words import METRIC_WORDS
from dashboards.queries.definitions import values_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.metrics import Metric, MetricValue

MOST_SHOWN: Final = 20  # each is measured: more would keep a reader waiting


def metric_list(served: Served, metrics: Sequence[Metric], filters: Filters, *, total: int) -> None:
    """The metrics in their order; of many the first, and that is said."""
    if not metrics:
        st.info("No metric is called or defined like this. Try one word, such as fill, return or stock.", icon=":material/search_off:")
        return
    shown = metrics[:MOST_SHOWN]
    values = values_now(served, [metric.name for metric in shown], filters)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        first = f"The first {len(shown)} of {len(metrics)} found; more words find fewer. " if len(metrics) > len(shown) else ""
        st.caption(f"{first}{len(metrics)} of {total} metrics.", width="content")
        export_button(
            definition_rows(shown, values), name="metrics", as_of=served.context.as_of_date, filters=filters.as_export(),
            definitions=METRIC_WORDS,
        )  # fmt: skip
    for metric, value in zip(shown, values, strict=True):
        with st.container(border=True, gap="xxsmall"):
            _row(metric, value)


def _row(metric: Metric, value: MetricValue) -> None:
    icon, word, color = STATUSES[value.status]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        own_button(metric.label, icon="rule", key=f"open-{metric.name}", address={"metric": metric.name})
        st.markdown(f"**{escape_markdown(format_value(value, value.value))}**", width="content", help=escape_markdown(metric.description))
        st.badge(word, icon=f":material/{icon}:", color=color)
        st.caption(escape_markdown(_aside(value)), width="content")
    st.caption(f"{escape_markdown(metric.description)} Owner: {escape_markdown(metric.owner)}.")


def _aside(value: MetricValue) -> str:
    """Change, target and cases in a line; why there is no value where there is none."""
    if value.value is None:
        return value.note or ""
    changed = format_change_of(
        None if value.change is None else float(value.change), None if value.prior is None else float(value.prior), value.unit
    )
    return " · ".join(part for part in (f"{changed} vs prior" if changed else "", format_target(value), format_sample(value.n)) if part)


def definition_rows(metrics: Sequence[Metric], values: Sequence[MetricValue]) -> pl.DataFrame:
    """Raw values with their definitions: one row per metric."""
    rows = [
        value.as_dict()
        | {
            "excluded": json.dumps(value.excluded), "needs_missing": ", ".join(value.needs_missing), "definition": metric.description,
            "formula": metric.formula, "where": metric.where, "mart": f"{metric.schema}.{metric.table}", "dated_by": metric.time_column,
            "needs": ", ".join(metric.needs), "split_by": ", ".join(map(spoken, metric.dimensions)),
        }
        for metric, value in zip(metrics, values, strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None, strict=False).drop("dimension", "member", "grain")
