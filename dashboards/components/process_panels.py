"""The way orders take through the house, where they wait on it, and what makes people touch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.formats import escape_markdown, format_count, format_number, format_percent
from dashboards.components.metric_panels import metric_course
from dashboards.components.process_map import BOTTLENECKS, bottleneck_title, drawn_edges, process_dot, step_name, wait_words
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.components.timeline import event_name
from dashboards.queries.fulfilment import touches_by_cause
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.reports import ReportTable

_EDGES: Final = ("step", "bottleneck_rank", "p50_hours", "p90_hours", "prior_p50_hours", "transition_count", "order_count", "total_hours")
_OPEN_EDGES: Final = ("step", "bottleneck_rank", "p50_hours", "p90_hours", "order_count", "total_hours")
_EDGE_LABELS: Final = {
    "step": "Step", "bottleneck_rank": "Bottleneck no.", "p50_hours": "Median (hours)", "p90_hours": "Slowest tenth (hours)",
    "prior_p50_hours": "Median before (hours)", "transition_count": "Times taken", "order_count": "Orders",
}  # fmt: skip
_VARIANTS: Final = ("way", "order_rate", "order_count", "event_count", "p50_hours", "p90_hours")
_TOUCHES: Final = ("cause", "performed_by", "touch_count", "touch_rate", "order_count", "labour_minutes", "prior_touch_count")
_TOUCH_LABELS: Final = {
    "cause": "Cause", "performed_by": "Done by", "touch_count": "Touches", "touch_rate": "Share of touches (%)", "order_count": "Orders",
    "prior_touch_count": "Touches before",
}  # fmt: skip


def show_process(served: Served, filters: Filters) -> None:
    """The map of what happened to finished orders, the bottlenecks, what waits now, and the ways orders take."""
    days = filters.report_days
    found = report(served, "process_edges", where={"period_days": days})
    if found.missing:
        show_not_available("The process map", found.missing)
        return
    done = _named(found.rows.filter(pl.col("wait_state") == "done").sort("bottleneck_rank"))
    waiting = _named(found.rows.filter(pl.col("wait_state") == "open").sort("bottleneck_rank"))
    _scope_note(filters, days)
    if done.is_empty():
        st.caption("No order was finished in this time.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        _map(done)
    with right:
        _bottlenecks(done)
        _waiting(waiting)
    with st.expander("All steps as a table", icon=":material/table:"):
        _edge_table(done, found, served, name="process-steps", days=days, columns=_EDGES)
        if waiting.height:
            st.markdown("**Where open orders wait**")
            _edge_table(waiting, found, served, name="waiting-now", days=days, columns=_OPEN_EDGES)
    _variants(served, days)


def show_touches(served: Served, filters: Filters) -> None:
    """How many orders nobody had to touch, what made people touch the others, and who did."""
    left, right = st.columns(2, gap="large")
    with left:
        metric_course(served, "touchless_rate", filters)
    with right:
        _touch_causes(served, filters)
    days = filters.report_days
    found = report(served, "touch_causes", where={"period_days": days})
    if found.missing or found.rows.is_empty():
        return
    shown = found.rows.with_columns(
        pl.Series("cause", [event_name(cause) for cause in found.rows["cause"]], dtype=pl.String),
        pl.Series("performed_by", [event_name(who) for who in found.rows["performed_by"]], dtype=pl.String), touch_rate="touch_share",
    )  # fmt: skip
    first = shown.row(0, named=True)
    st.markdown(
        f"**Most touches are “{escape_markdown(first['cause'].lower())}” by {escape_markdown(first['performed_by'].lower())}: "
        f"{first['touch_count']:,} of {shown['touch_count'].sum():,}**"
    )
    _scope_note(filters, days)
    data_table(
        shown, name="touch-causes", as_of=served.context.as_of_date, alt="What makes people touch orders, and who does", columns=_TOUCHES,
        labels=_TOUCH_LABELS, filters={"days": str(days)}, definitions=found.definitions,
    )  # fmt: skip


def _scope_note(filters: Filters, days: int) -> None:
    """What the reports of the process do not follow."""
    narrowed = " It is told of all channels, locations and currencies." if filters.where else ""
    longer = f" It is told of {days} days: this part knows 28, 91 and 364." if days != filters.days else ""
    if narrowed or longer:
        st.caption(f":material/info:{longer}{narrowed}")


def _named(edges: pl.DataFrame) -> pl.DataFrame:
    return edges.with_columns(pl.Series("step", [step_name(row) for row in edges.iter_rows(named=True)], dtype=pl.String))


def _map(done: pl.DataFrame) -> None:
    drawn = drawn_edges(done)
    rest = done.height - drawn.height
    st.markdown(f"**{escape_markdown(bottleneck_title(done))}**")
    dot = process_dot(drawn, theme_name=st.context.theme.type or "light")
    st.graphviz_chart(dot, width="stretch", alt="The way orders take; all its steps are in the table below")
    rarer = f" {format_count(rest, 'rarer step')} {'is' if rest == 1 else 'are'} in the table only." if rest else ""
    st.caption(f"How often a step was taken, and its median duration; thicker arrows are taken more often.{rarer}")


def _bottlenecks(done: pl.DataFrame) -> None:
    st.markdown(
        "**Bottlenecks: what holds up most**",
        help="Ranked by hours x orders x their value: many orders, dear ones and long waits count. Time with a carrier counts as well.",
    )
    for edge in done.head(BOTTLENECKS).iter_rows(named=True):
        before = f", before {wait_words(edge['prior_p50_hours'])}" if edge["prior_p50_hours"] is not None else ""
        with st.container(border=True, gap="xxsmall"):
            st.markdown(f":orange-badge[:material/hourglass_top: Bottleneck {edge['bottleneck_rank']}] **{escape_markdown(edge['step'])}**")
            st.caption(
                f"{wait_words(edge['p50_hours'])} in the median{before}; {wait_words(edge['p90_hours'])} or more for the slowest tenth; "
                f"{format_count(edge['order_count'], 'order')}"
            )


def _waiting(waiting: pl.DataFrame) -> None:
    if waiting.is_empty():
        return
    st.markdown(f"**{format_count(int(waiting['order_count'].sum()), 'order')} waiting now, by what happened last**")
    lines = [
        f"- {format_count(edge['order_count'], 'order')} after “{escape_markdown(event_name(edge['from_event']).lower())}”, "
        f"{wait_words(edge['p50_hours'])} so far in the median, {wait_words(edge['p90_hours'])} or more for the slowest tenth"
        for edge in waiting.iter_rows(named=True)
    ]
    st.markdown("\n".join(lines))


def _edge_table(rows: pl.DataFrame, found: ReportTable, served: Served, *, name: str, days: int, columns: tuple[str, ...]) -> None:
    data_table(
        rows, name=name, as_of=served.context.as_of_date, alt="Steps with their durations, what holds up most first", labels=_EDGE_LABELS,
        columns=columns, filters={"days": str(days)}, definitions=found.definitions,
    )  # fmt: skip


def _variants(served: Served, days: int) -> None:
    found = report(served, "process_variants", where={"period_days": days})
    ways = found.rows.sort("variant_rank", nulls_last=True) if found.rows.height else found.rows
    if found.missing or ways.is_empty():
        return
    named = [" → ".join(event_name(event).lower() for event in str(way).split(" > ")) for way in ways["variant"]]
    shown = ways.with_columns(pl.Series("way", named, dtype=pl.String), order_rate="order_share")
    st.markdown(f"**{format_percent(ways['order_share'][0])} of orders take the most frequent way**")
    data_table(
        shown, name="process-variants", as_of=served.context.as_of_date, alt="Ways that orders take, the most frequent first",
        columns=_VARIANTS,
        labels={
            "way": st.column_config.TextColumn("Way", width=300), "order_rate": "Orders (%)", "order_count": "Orders",
            "event_count": "Steps", "p50_hours": "Median (hours)", "p90_hours": "Slowest tenth (hours)",
        },
        filters={"days": str(days)}, definitions=found.definitions, lines=3,
    )  # fmt: skip


def _touch_causes(served: Served, filters: Filters) -> None:
    causes, why_not = touches_by_cause(served, filters)
    if why_not or causes.is_empty():
        st.markdown("**Touches by cause**")
        st.caption(f":material/block: {escape_markdown(why_not or 'Nobody touched an order in this period.')}")
        return
    named = causes.with_columns(pl.Series("name", [event_name(cause) for cause in causes["name"]], dtype=pl.String))
    first = named.row(0, named=True)
    chart_block(
        bar_chart(named, value="touches_per_100", unit="number", compared="prior_per_100"),
        title=escape_markdown(
            f"“{first['name']}” makes most touches: {format_number(first['touches_per_100'])} of "
            f"{format_number(float(named['touches_per_100'].sum()))} per 100 orders"
        ),
        alt_text="Touches per 100 finished orders, by cause", frame=named, name="touches-by-cause", as_of=served.context.as_of_date,
        caption=f"Orders finished in {filters.days} days; grey marks: the {filters.days} days before.",
        columns=("name", "touches_per_100", "prior_per_100"),
        labels={"name": "Cause", "touches_per_100": "Touches per 100 orders", "prior_per_100": "Before"}, filters=filters.as_export(),
        definitions={
            "touches_per_100": "Touches by this cause per 100 orders finished in the period.",
            "prior_per_100": "The same in the equally long period before.",
        },
    )  # fmt: skip
