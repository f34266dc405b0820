"""Whether suppliers keep their word: days and units against the promise, what is late now, and rebates within reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, draw, layered
from dashboards.components.formats import escape_markdown, format_count, format_days, format_money, format_percent
from dashboards.components.links import page_link
from dashboards.components.metric_panels import metric_cards, metric_course
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.queries import suppliers as queries

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

CARDS: Final = (
    "supplier_on_time_rate", "lead_time_actual_p50_days", "lead_time_promised_p50_days", "short_delivery_rate", "short_unit_rate",
    "rebates_accrued",
)  # fmt: skip
SUPPLIER_KEY: Final = "whose"  # another name than the worklist's filter, which takes several
_ROW_PIXELS: Final = 40
_LIST: Final = (
    "supplier", "on_time_rate", "on_time_before_rate", "promised_days", "actual_p50_days", "actual_p90_days", "gap_p90_days",
    "short_line_rate", "short_unit_rate", "n",
)  # fmt: skip
LABELS: Final = {
    "supplier": "Supplier", "on_time_rate": "On time (%)", "on_time_before_rate": "Period before (%)", "promised_days": "Promised (days)",
    "actual_p50_days": "Took, median (days)", "actual_p90_days": "Took, nine in ten (days)", "gap_p90_days": "Beyond promise (days)",
    "short_line_rate": "Short lines (%)", "short_unit_rate": "Units missing (%)", "n": "Lines promised",
}  # fmt: skip
DEFINITIONS: Final = {
    "on_time_rate": "Lines promised for the period that came by the promised day; what has not come counts as late.",
    "promised_days": "Median days from confirmation to the promised receipt, of lines received in the period.",
    "actual_p50_days": "Median days from confirmation to the receipt, of lines received in the period.",
    "actual_p90_days": "Nine in ten lines of the period had come within so many days of their confirmation.",
    "gap_p90_days": "How much longer than promised nine in ten take: what a plan should reckon with.",
    "short_line_rate": "Lines finished with fewer units than ordered.",
    "short_unit_rate": "Units that finished lines did not bring, of those ordered.",
}


def supplier_panel(served: Served, filters: Filters) -> None:
    """All suppliers: figures, promise against what came, the trend, what is late now, rebates."""
    metric_cards(served, CARDS, filters, name="suppliers")
    found = queries.supplier_list(served, filters)
    if found.not_available:
        st.info(escape_markdown(found.not_available), icon=":material/block:")
    elif found.rows.is_empty():
        st.caption("Nothing was promised for this period, and nothing came in it. Choose a longer one.")
    else:
        _promises(served, filters, found.rows)
    late_lines(served, filters)
    _rebates(served)
    metric_course(served, "supplier_on_time_rate", filters, grain="month")


def _promises(served: Served, filters: Filters, rows: pl.DataFrame) -> None:
    st.markdown(f"**{escape_markdown(promise_title(rows))}**")
    draw(
        promise_chart(rows.drop_nulls("actual_p50_days")),
        alt_text="Days that deliveries took per supplier against the promise; the table has them",
    )
    st.caption(
        f"Lines received in {filters.days} days: from the median to the days within which nine in ten came; the mark is the median "
        "promise. Least punctual first. Choose a row below to open its supplier."
    )
    chosen = data_table(
        rows, name="supplier-list", as_of=served.context.as_of_date, alt="Suppliers with punctuality, days and short deliveries",
        columns=_LIST, labels=LABELS, definitions=DEFINITIONS, filters=filters.as_export(), selects="single-row",
    )  # fmt: skip
    for row in chosen:
        page_link(served, filters, "suppliers", f"Open {escape_markdown(row['supplier'])}", **{SUPPLIER_KEY: row["supplier"]})


def promise_chart(rows: pl.DataFrame) -> Layers:
    """Per supplier a bar from the median to nine in ten, and a mark where the promise lies."""
    base = as_chart(rows.select("supplier", "promised_days", "actual_p50_days", "actual_p90_days", "on_time_rate", "n"))
    named = alt.Y("supplier:N", sort=rows["supplier"].to_list(), title=None, axis=alt.Axis(labelLimit=180, grid=False))
    said = [
        alt.Tooltip("supplier:N", title="Supplier"), alt.Tooltip("promised_days:Q", title="Promised", format=",.1f"),
        alt.Tooltip("actual_p50_days:Q", title="Median", format=",.1f"),
        alt.Tooltip("actual_p90_days:Q", title="Nine in ten", format=",.1f"),
        alt.Tooltip("on_time_rate:Q", title="On time", format=".1%"), alt.Tooltip("n:Q", title="Lines"),
    ]  # fmt: skip
    longest = rows.select(pl.max_horizontal("actual_p90_days", "promised_days").max()).item() or 1.0
    scale = alt.Scale(domain=[0, 1.08 * longest], nice=False)
    days = alt.X("actual_p50_days:Q", title="Days from confirmation to receipt", scale=scale, axis=alt.Axis(tickCount=8))
    span = base.mark_bar(color=theme.ACCENT, height=14, cornerRadius=2).encode(days, alt.X2("actual_p90_days:Q"), named, tooltip=said)
    tick = base.mark_tick(color=theme.WARNING, thickness=3, size=24).encode(alt.X("promised_days:Q"), named, tooltip=said)
    text = base.mark_text(align="left", dx=5, fontSize=11, color=theme.REFERENCE)
    labels = text.encode(alt.X("actual_p90_days:Q"), named, text=alt.Text("actual_p90_days:Q", format=",.0f"))
    return layered([span, tick, labels], height=_ROW_PIXELS * rows.height + 60)


def promise_title(rows: pl.DataFrame) -> str:
    """The answer: how many suppliers usually take longer than promised, and who is furthest from it."""
    known = rows.drop_nulls(["actual_p50_days", "promised_days"])
    if known.is_empty():
        return "No delivery of the period has both a promise and a receipt"
    longer = known.filter(pl.col("gap_p50_days") > 0).height
    worst = known.sort("gap_p90_days", descending=True, nulls_last=True).row(0, named=True)
    said = f"{longer} of {format_count(known.height, 'supplier')} usually take longer than promised"
    if (worst["gap_p90_days"] or 0) <= 0:
        return f"{said}; nine in ten lines of each are there in time"
    return f"{said}; reckon with {format_days(worst['gap_p90_days'])} more at {worst['supplier']}"


def late_lines(served: Served, filters: Filters, *, supplier_id: str | None = None) -> None:
    """Lines that should be here, the longest overdue first."""
    rows = queries.open_late_lines(served, filters, supplier_id=supplier_id)
    if rows.is_empty():
        st.markdown("**Nothing is overdue**")
        return
    count = rows["lines_count"][0]
    st.markdown(f"**{format_count(count, 'line')} should be here and {'is' if count == 1 else 'are'} not, the oldest for "
                f"{format_count(rows['overdue_days'][0], 'day')}**")  # fmt: skip
    if count > rows.height:
        st.caption(f"The {rows.height:,} longest overdue are listed.")
    of = {} if supplier_id is None else {"supplier": supplier_id}
    data_table(
        rows.drop("lines_count"), name="late-lines", as_of=served.context.as_of_date, alt="Order lines that are overdue, the oldest first",
        columns=("supplier", "po_line_id", "sku", "title", "location", "open_qty", "expected_date", "overdue_days"),
        labels={"po_line_id": "Order line", "open_qty": "Still to come (units)", "expected_date": "Promised"},
        filters=filters.as_export() | of,
        definitions={"expected_date": "As the order says, else from the supplier's lead time (promise_basis)."},
    )  # fmt: skip


def _rebates(served: Served) -> None:
    rows, missing = queries.rebates(served)
    if missing:
        show_not_available("Rebates of suppliers", missing)
        return
    st.markdown(f"**{escape_markdown(rebate_title(rows))}**")
    if rows.is_empty():
        return
    table = st.column_config
    data_table(
        rows, name="supplier-rebates", as_of=served.context.as_of_date, alt="Rebate agreements, those that run first",
        columns=("supplier", "is_running", "valid_to_date", "volume_reporting_amount", "rebate_rate",
                 "rebate_reporting_amount", "next_rebate_rate", "next_tier_distance_reporting_amount", "next_tier_share_rate",
                 "unvalued_receipts_count"),
        labels={
            "supplier": "Supplier", "is_running": "Runs", "valid_to_date": "Until",
            "volume_reporting_amount": f"Received ({_currency(rows)})", "rebate_rate": "Rate (%)",
            "rebate_reporting_amount": f"Accrued ({_currency(rows)})", "next_rebate_rate": "Next rate (%)",
            "next_tier_distance_reporting_amount": f"To the next ({_currency(rows)})",
            "next_tier_share_rate": table.ProgressColumn("Way to it (%)", min_value=0, max_value=100, format="%.0f"),
            "unvalued_receipts_count": "Receipts without a cost",
        },
        filters={},
        definitions={
            "rebate_rate": "Of the tier reached; it holds for the whole volume.",
            "unvalued_receipts_count": "They are in no amount, for want of a cost or an exchange rate.",
        },
    )  # fmt: skip


def rebate_title(rows: pl.DataFrame) -> str:
    """The answer: what has accrued under agreements that run, and which next tier is nearest."""
    running = rows.filter(pl.col("is_running")) if rows.height else rows
    if running.is_empty():
        return "No rebate agreement with a supplier runs"
    currency = _currency(rows)
    accrued = running["rebate_reporting_amount"].drop_nulls().sum()
    said = f"{format_money(accrued, currency)} of rebates have accrued under {format_count(running.height, 'running agreement')}"
    near = running.drop_nulls("next_tier_distance_reporting_amount").sort("next_tier_share_rate", descending=True).head(1)
    if near.is_empty():
        return said
    row = near.row(0, named=True)
    return (
        f"{said}; {row['supplier']} is {format_money(row['next_tier_distance_reporting_amount'], currency)} short of "
        f"{format_percent(row['next_rebate_rate'])}, with {format_count(row['left_days'], 'day')} left"
    )


def _currency(rows: pl.DataFrame) -> str:
    codes: Any = rows["currency_code"].drop_nulls().unique().sort()
    return "/".join(codes)
