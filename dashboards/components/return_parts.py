"""Parts of the page about returns: how long they take, what exchanges keep, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import chart_block
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import escape_markdown, format_amount, format_days, format_money, format_percent, format_units
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.return_charts import stacked_bars
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.queries import returns
from dashboards.queries.metrics import kpis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.filters import Filters
    from dashboards.queries.metrics import Kpi
    from dashboards.queries.releases import Served

STAGE_CARDS: Final = ("return_cycle_time_p50_days", "return_cycle_time_p90_days", "return_cycle_time_mean_days")
STAGES: Final = {"return_announced_to_received_mean_days": "Announced to received",
                 "return_received_to_refunded_mean_days": "Received to refunded"}  # fmt: skip
EXCHANGE: Final = ("exchange_share", "retained_revenue", "returned_units")
COST: Final = ("return_cost_to_serve", "refunds", "restock_value")
NOW, BEFORE = "Now", "Period before"
_STAGE_COLOURS: Final = dict(zip(STAGES.values(), (theme.ACCENT, "#B34700"), strict=True))
_BECAME: Final = {"back in stock": "#00785A", "not back in stock": "#B34700", "not noted": "#5F6B76"}

_DEFINITIONS: Final = {
    "stage": "Part of a return's way.",
    "stage_days": "Mean days that return lines spent in it.",
    "waited_mean_days": "Mean days since they entered the stage.",
    "waited_most_days": "Days that the longest of them has waited.",
    "over_30_days_count": "Lines that have waited for more than 30 days.",
    "became": "Whether the goods went back into stock, as far as it was noted.",
    "share_rate": "Of all units that arrived.",
    "cost_reporting_amount": "The units at unit cost.",
    "handling_reporting_amount": "What handling them costs by standard times, an assumption.",
}


def show_stages(served: Served, filters: Filters) -> None:
    """Days from announcement to arrival to refund, and what waits in each stage."""
    metric_cards(served, STAGE_CARDS, filters, name="return-times")
    stages = kpis(served, tuple(STAGES), filters)
    frame = stage_days(stages)
    if frame.height:
        chart_block(
            stacked_bars(frame, part="stage", value="stage_days", unit="days", colours=_STAGE_COLOURS),
            title=stage_title(frame),
            alt_text="Mean days of each stage of a return, now and before",
            frame=frame,
            name="return-stages",
            as_of=served.context.as_of_date,
            caption=f"Mean days over return lines refunded in {filters.days} days, by stage; exchanges are not refunded and not in it.",
            columns=("name", "stage", "stage_days", "n"),
            labels={"name": "When", "stage": "Stage", "stage_days": "Days, mean"},
            filters=filters.as_export(),
            definitions=COLUMN_WORDS | _DEFINITIONS,
        )
    if not stages[0].value.needs_missing:
        _show_waiting(served, filters)
    metric_course(served, "return_cycle_time_p50_days", filters)


def show_exchanges(served: Served, filters: Filters) -> None:
    """What share of returns becomes another order, and what that keeps."""
    metric_cards(served, EXCHANGE, filters, name="exchanges")
    metric_breakdown(served, "exchange_share", "reason", filters)
    metric_breakdown(served, "retained_revenue", "category", filters)
    metric_course(served, "exchange_share", filters, grain="month")


def show_cost(served: Served, filters: Filters) -> None:
    """What returns cost, and what became of the goods."""
    metric_cards(served, COST, filters, name="return-cost")
    cost = kpis(served, ("restock_value",), filters)[0]
    if cost.value.needs_missing:
        show_not_available("What became of the goods", cost.value.needs_missing)
    else:
        _show_goods(served, filters)
    metric_breakdown(served, "return_cost_to_serve", "reason", filters)
    metric_breakdown(served, "return_cost_to_serve", "category", filters)
    metric_course(served, "return_cost_to_serve", filters)


def stage_days(stages: Sequence[Kpi]) -> pl.DataFrame:
    """Mean days per stage over the chosen period, the one before and a year before; without those of which a stage is not known."""
    rows = [
        (name, STAGES[one.metric.name], None if days is None else float(days), one.value.n if name == NOW else None)
        for one in stages
        for name, days in (
            (NOW, one.value.value), (BEFORE, None if one.change is None else one.value.prior), ("A year before", one.value.last_year),
        )
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={"name": pl.String, "stage": pl.String, "stage_days": pl.Float64, "n": pl.Int64}, orient="row")
    return frame.filter(pl.col("stage_days").is_not_null().all().over("name"))


def stage_title(frame: pl.DataFrame) -> str:
    """The answer: how long a return takes, and which stage takes longest."""
    now, before = frame.filter(name=NOW), frame.filter(name=BEFORE)
    if now.is_empty():
        return "How long a return takes is not known in this period"
    longest = now.sort("stage_days", descending=True).row(0, named=True)
    said = f"A return takes {_sum(now)}, longest from {longest['stage'].lower()}: {format_days(longest['stage_days'])}"
    return said if before.is_empty() else f"{said}; {_sum(before)} in the period before"


def goods_title(frame: pl.DataFrame, currency: str) -> str:
    """The answer: what share of the goods went back to stock, and what the rest had cost."""
    total = int(frame["returned_qty"].sum())
    back = frame.filter(became="back in stock")
    rest = frame.filter(became="not back in stock")
    return (
        f"{format_percent(int(back['returned_qty'].sum()) / total)} of {format_units(total)} units that arrived went back into stock; "
        f"the others had cost {format_money(rest['cost_reporting_amount'].sum(), currency)}"
    )


def _sum(stages: pl.DataFrame) -> str:
    return format_days(float(stages["stage_days"].sum()))


def _show_waiting(served: Served, filters: Filters) -> None:
    frame = returns.waiting(served, filters)
    st.markdown("**What waits now?**")
    if frame.is_empty():
        st.caption("No return is open.")
        return
    for row in frame.iter_rows(named=True):
        st.markdown(
            f"- {row['stage']}: **{format_units(row['lines_count'])}** lines, {format_units(row['returned_qty'])} units, on average "
            f"{format_days(row['waited_mean_days'])}; {format_units(row['over_30_days_count'])} of them for over 30 days."
        )
    st.caption(
        "All that is open at the end of the as-of date, however old. What was announced long ago and never came was most likely never sent."
    )
    with st.expander("The same as a table", icon=":material/table:"):
        data_table(frame, name="returns-waiting", as_of=served.context.as_of_date, alt="Open returns by stage", filters=filters.as_export(),
                   definitions=_DEFINITIONS,
                   labels={"lines_count": "Lines", "returned_qty": "Units", "waited_mean_days": "Waited, mean (days)",
                           "waited_most_days": "Waited, most (days)", "over_30_days_count": "Over 30 days"})  # fmt: skip


def _show_goods(served: Served, filters: Filters) -> None:
    frame = returns.received_goods(served, filters)
    st.markdown("**What became of the goods?**")
    if frame.is_empty():
        st.caption(f"No return arrived in {filters.days} days.")
        return
    currency = served.context.currency_code
    lacking = int(frame["uncosted_count"].sum())
    without = f" {format_units(lacking)} lines have no unit cost." if lacking else ""
    labour = format_amount(frame["handling_reporting_amount"].sum(), "money", currency)
    chart_block(
        stacked_bars(
            frame.with_columns(name=pl.col("condition").str.to_titlecase()),
            part="became",
            value="returned_qty",
            unit="count",
            colours=_BECAME,
        ),
        title=escape_markdown(goods_title(frame, currency)),
        alt_text="Units that arrived, by condition and what became of them",
        frame=frame,
        name="returned-goods",
        as_of=served.context.as_of_date,
        caption=f"Units received in {filters.days} days, by the condition noted. Handling all of them took labour of {labour} by standard "
        f"times, an assumption.{without}",
        columns=("condition", "became", "lines_count", "returned_qty", "share_rate", "cost_reporting_amount", "handling_reporting_amount"),
        labels={
            "condition": "Condition",
            "became": "What became of it",
            "lines_count": "Lines",
            "returned_qty": "Units",
            "share_rate": "Share (%)",
            "cost_reporting_amount": f"Unit cost of it ({currency})",
            "handling_reporting_amount": f"Labour ({currency})",
        },
        filters=filters.as_export(),
        definitions=_DEFINITIONS,
    )
