"""What a metric means and where it comes from: formula, who counts, targets through time, owner, and the way back to the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from dashboards.components.formats import escape_markdown, format_amount, spoken
from dashboards.components.kpi_card import format_target
from dashboards.components.tables import data_table
from dashboards.queries.definitions import present_fields, target_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.metrics import Metric, MetricValue
    from pipelines.stores.metrics_catalogue import Caveat

_LEVEL_DAY = {"max": "the last day of the period that has rows", "min": "the first day of the period that has rows"}

_LEFT_OUT = {
    "rows_count": "How many are left out now; blank where nothing was measured.",
    "rule": "Which rows are left out, as the metric's own code says it.",
    "table": "The table whose rows are counted.",
}
_TARGET = {
    "valid_from": "The first day that it holds.",
    "valid_to": "The last day; blank while no end is set.",
    "target": "What is aimed at, in the metric's unit.",
    "watch_band": "How far from the target a value may lie and still be worth a look only.",
}


def metric_story(served: Served, metric: Metric, value: MetricValue, filters: Filters) -> None:
    """The definition in full, with what it counts now."""
    st.subheader("What it means", anchor=False)
    st.markdown(escape_markdown(metric.description))
    counted = f"\nwhere {_plain(metric.where)}" if metric.where != "true" else ""
    st.code(f"{metric.formula}\nfrom {metric.schema}.{metric.table}{counted}", language="sql", wrap_lines=True)
    st.markdown("\n".join(f"- {line}" for line in said(metric, value)))
    if metric.exclusions or value.excluded:
        st.markdown("**Left out, and counted**")
        data_table(exclusion_rows(metric, value), name=f"{metric.name}-left-out", as_of=value.as_of, alt="Who is left out, by reason",
                   labels={"reason": "Reason", "rows_count": "Rows", "rule": "Rule", "table": "Found in"},
                   filters=filters.as_export(), definitions=_LEFT_OUT)  # fmt: skip
    _targets(served, metric, value)
    st.subheader("Where it comes from", anchor=False)
    st.markdown("\n".join(f"- {line}" for line in lineage(metric, present_fields(served))))


def said(metric: Metric, value: MetricValue) -> Iterator[str]:
    """What a reader should know besides the formula, a line each; what is counted as a caveat now stands with its figures."""
    day = f", {_LEVEL_DAY[metric.counts_only_day]}" if metric.counts_only_day else ""
    yield f"Counted on `{metric.time_column}`{day}."
    yield f"Unit: {metric.unit}; {metric.better} is better. Owner: **{escape_markdown(metric.owner)}**."
    yield f"Can be split by: {escape_markdown(', '.join(map(spoken, metric.dimensions)) or 'nothing')}."
    if metric.maturity_days:
        yield f"Judged after {metric.maturity_days} days: its period ends so much earlier, and younger rows are counted as too young."
    if value.note and not value.needs_missing:
        yield f"**Now:** {escape_markdown(value.note)}."
    for caveat in metric.caveats:
        yield f"Counted, and said with the value: {escape_markdown(_rule(caveat))} (`{_plain(caveat.where)}`)."
    for block in metric.blocked:
        yield f"No value while any {escape_markdown(_rule(block))} (`{_plain(block.where)}`)."
    if metric.grows_with_age:
        yield f"Periods are not compared, younger ones have had less time: {escape_markdown(metric.grows_with_age)}."
    if metric.assumption:
        yield f"**Assumes** {escape_markdown(metric.assumption)}."


def lineage(metric: Metric, present: frozenset[str]) -> list[str]:
    """From the source's fields to the marts that hold the metric's rows; a field the merchant lacks is said to be missing."""
    marts = dict.fromkeys([metric.table, *(one.table for one in metric.exclusions if one.table)])
    lookups = dict.fromkeys(one.lookup.table for one in metric.dimensions.values() if one.lookup)
    lines = [f"Mart: {', '.join(f'`{metric.schema}.{mart}`' for mart in marts)} (`docs/data-dictionary.md` has its columns)."]
    if lookups:
        lines.append(f"Members of dimensions: {', '.join(f'`{metric.schema}.{table}`' for table in lookups)}.")
    by_table: dict[str, list[str]] = {}
    for need in metric.needs:
        by_table.setdefault(need.partition(".")[0], []).append(need)
    for table, needs in by_table.items():
        fields = [f"`{need.partition('.')[2]}`" + ("" if need in present else " :material/block: **missing**") for need in needs]
        lines.append(f"Source `{table}`: {', '.join(fields)}.")
    if not by_table:
        lines.append("Source: orders and order lines, which every merchant has.")
    return lines


def exclusion_rows(metric: Metric, value: MetricValue) -> pl.DataFrame:
    """Who is left out: reason, rows_count now (null where nothing was measured), rule, table."""
    rules = {one.name: (_plain(one.where), one.table or metric.table) for one in metric.exclusions}
    names = list(dict.fromkeys([*rules, *value.excluded]))
    rows = [(spoken(name), value.excluded.get(name), *rules.get(name, (None, metric.table))) for name in names]
    schema = {"reason": pl.String, "rows_count": pl.Int64, "rule": pl.String, "table": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _targets(served: Served, metric: Metric, value: MetricValue) -> None:
    st.markdown("**Target**")
    default = "none" if metric.target is None else format_amount(metric.target, metric.unit, value.currency_code or "")
    length = " for 28 days" if metric.is_additive and metric.target is not None else ""
    st.markdown(f"{escape_markdown(format_target(value) or 'No target holds')} · default {escape_markdown(default)}{length}")
    history = target_history(served, metric.name)
    if history.is_empty():
        st.caption(f"Nobody has set another: `ordercast targets set {metric.name} ...` does, from a day on.")
        return
    data_table(
        history, name=f"{metric.name}-targets", as_of=value.as_of, alt="Targets that people have set, newest first",
        labels={"valid_from": "From", "valid_to": "To", "target": f"Target ({metric.unit})", "watch_band": "Watch band"},
        filters={}, definitions=_TARGET,
    )  # fmt: skip


def _rule(caveat: Caveat) -> str:
    """Its sentence for any value: the name of its figure in place of one."""
    return caveat.explained.replace(f"`{caveat.figure}`", f"the {spoken(caveat.figure)}") if caveat.figure else caveat.text


def _plain(sql: Any) -> str:
    return " ".join(str(sql).split())
