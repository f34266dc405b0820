"""Metrics on a page: a row of cards, one by the members of a dimension, one through time."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import bar_chart, chart_block, time_chart
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_amount, format_change_of, spoken
from dashboards.components.kpi_card import STATUSES, kpi_card, kpi_export, kpi_table, status_badge
from dashboards.components.links import page_link
from dashboards.components.metric_words import METRIC_WORDS
from dashboards.queries import metrics, releases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.filters import Filters
    from dashboards.queries.metrics import MetricTable
    from dashboards.queries.releases import Served
    from pipelines.stores.metrics import Grain

_CARD_PIXELS: Final = 250
_LABELS: Final = {
    "name": "Member", "value": "Value", "prior": "Period before", "last_year": "Year before", "change": "Change",
    "change_last_year": "Change in a year", "target": "Target", "n": "n",
    "period_from": "From", "period_to": "To", "is_complete": "Complete",
}  # fmt: skip


def metric_cards(
    served: Served,
    names: Sequence[str],
    filters: Filters,
    *,
    name: str,
    per_row: int = 3,
    drills: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A card per metric, then the same as a table, with an export.

    Args:
        served: What is shown.
        names: Metrics in reading order; one that the source cannot feed says what it needs.
        filters: The chosen period and members.
        name: What the export is called.
        per_row: Cards side by side on a wide screen.
        drills: A dimension per metric: its card leads to the metric's own page, split by it.
    """
    kpis = metrics.kpis(served, names, filters)
    today = releases.now().date()
    with st.grid(per_row, min_column_width=_CARD_PIXELS, border=True) as grid:
        for kpi in kpis:
            with grid.cell():
                kpi_card(kpi, today=today)
                if by := drills.get(kpi.metric.name):
                    page_link(served, filters, "metrics", f"By {spoken(by)}", metric=kpi.metric.name, by=spoken(by))
    with st.expander("The same as a table", icon=":material/table:"):
        export_button(kpi_export(kpis), name=name, as_of=served.context.as_of_date, filters=filters.as_export(), definitions=METRIC_WORDS)
        st.dataframe(kpi_table(kpis, today=today), hide_index=True, placeholder="-", alt="KPIs with value, change, target and status")


def metric_breakdown(served: Served, metric: str, by: str, filters: Filters, *, title: str = "") -> None:
    """A metric by the members of a dimension as bars, the period before as ticks; `title` stands in for the answer in words."""
    found = metrics.breakdown(served, metric, by, filters)
    label = found.metric.label
    if found.not_available or found.rows.is_empty():
        st.markdown(f"**{escape_markdown(label)} by {by}**")
        st.caption(f":material/block: {escape_markdown(found.not_available or 'Nothing was counted in this period.')}")
        return
    is_worst_first = not found.metric.is_total and found.metric.better == "higher"
    ranked = found.rows.sort("value", descending=not is_worst_first, nulls_last=True)
    chart_block(
        bar_chart(ranked.drop_nulls("value"), value="value", unit=found.metric.unit, compared="prior"),
        title=escape_markdown(title or breakdown_title(found)), alt_text=f"{label} by {by}", frame=ranked, name=f"{metric}-by-{by}",
        as_of=served.context.as_of_date,
        caption=f"{escape_markdown(label)} over {filters.days} days; grey marks: the {filters.days} days before.",
        columns=("name", "value", "prior", "change", "last_year", "target", "status", "n"), labels=_labels() | {"name": by.capitalize()},
        filters=filters.as_export(), definitions=METRIC_WORDS | {"value": found.metric.description},
    )  # fmt: skip


def metric_course(served: Served, metric: str, filters: Filters, *, grain: Grain = "week") -> None:
    """A metric through time beside the year before, with its target."""
    found = metrics.course(served, metric, filters, grain=grain)
    label = found.metric.label
    if found.not_available or found.rows["value"].drop_nulls().is_empty():
        st.markdown(f"**{escape_markdown(label)} by {grain}**")
        st.caption(f":material/block: {escape_markdown(found.not_available or 'Nothing was counted in this time.')}")
        return
    targets = found.rows["target"].drop_nulls()
    target = targets[-1] if targets.len() else None
    chart_block(
        time_chart(found.rows, value="value", unit=found.metric.unit, compared="last_year", target=target),
        title=f"{escape_markdown(course_title(found))} {_course_status(found)}".strip(), alt_text=f"{label} by {grain}",
        frame=found.rows, name=f"{metric}-by-{grain}", as_of=served.context.as_of_date,
        caption="Grey: the same time a year before. A dashed end is not complete yet.",
        columns=("period_from", "period_to", "value", "last_year", "target", "status", "n", "is_complete"), labels=_labels(),
        filters=filters.as_export(), definitions=METRIC_WORDS | {"value": found.metric.description},
    )  # fmt: skip


def breakdown_title(found: MetricTable) -> str:
    """The answer: where the metric is best and worst, or who has most of a total."""
    metric, known = found.metric, found.rows.drop_nulls("value")
    ranked = known.sort("value", descending=True)
    if known.height < 2:
        return (
            f"{metric.label}: {ranked['name'][0]} {format_amount(ranked['value'][0], metric.unit, _currency(found))}"
            if known.height
            else metric.label
        )
    top, bottom = ranked.row(0, named=True), ranked.row(-1, named=True)
    if metric.is_total:
        return f"{metric.label}: most for {top['name']}, {format_amount(top['value'], metric.unit, _currency(found))}"
    worst = bottom if metric.better == "higher" else top
    best = top if metric.better == "higher" else bottom
    return (
        f"{metric.label}: worst for {worst['name']}, {format_amount(worst['value'], metric.unit, _currency(found))}; "
        f"best for {best['name']}, {format_amount(best['value'], metric.unit, _currency(found))}"
    )


def _course_status(found: MetricTable) -> str:
    """How the last complete bucket stands to its target; empty where it has none."""
    whole = found.rows.filter(pl.col("is_complete")).drop_nulls("value")
    return "" if whole.is_empty() else status_badge(whole["status"][-1])


def _labels() -> dict[str, Any]:
    """Headings of the table twins; a status in words."""
    words = {status: word for status, (_, word, _) in STATUSES.items()}
    return _LABELS | {
        "status": st.column_config.SelectboxColumn("Status", options=list(words), format_func=lambda one: words.get(one, one))
    }


def course_title(found: MetricTable) -> str:
    """The answer: the last complete bucket, and its change in a year."""
    whole = found.rows.filter(pl.col("is_complete")).drop_nulls("value")
    if whole.is_empty():
        return found.metric.label
    last = whole.row(-1, named=True)
    value = format_amount(last["value"], found.metric.unit, _currency(found))
    changed = format_change_of(last["change_last_year"], last["last_year"], found.metric.unit)
    return f"{found.metric.label}: {value} in the last complete {found.by}" + (f", {changed} in a year" if changed else "")


def _currency(found: MetricTable) -> str:
    codes = found.rows["currency_code"].drop_nulls()
    return str(codes[0]) if codes.len() else ""
