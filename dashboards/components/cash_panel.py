"""When the money comes: stages from order to cash, what customers owe, how old that is, and who is past due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.formats import escape_markdown, format_count, format_days, format_money, format_percent
from dashboards.components.links import page_link
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.queries import metrics
from dashboards.queries import suppliers as queries
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.metrics import Kpi
    from dashboards.queries.releases import Served

CARDS: Final = (
    "order_to_cash_p50_days", "order_to_invoice_p50_days", "invoice_to_cash_p50_days", "dso_days", "receivables", "overdue_receivables",
)  # fmt: skip
STAGES: Final = ("order_to_invoice_p50_days", "invoice_to_cash_p50_days", "order_to_cash_p50_days", "order_to_cash_p90_days")
NOT_DUE: Final = "not due"

_OVERDUE: Final = {
    "overdue_days": "Days since it was due.",
    "overdue_reporting_amount": "What has not been paid of it.",
}


def cash_panel(served: Served, filters: Filters) -> None:
    """Figures, stages, course, age of what is owed, and the invoices past due."""
    metric_cards(served, CARDS, filters, name="cash")
    left, right = st.columns(2)
    with left:
        _stages(served, filters)
    with right:
        metric_breakdown(served, "order_to_cash_p50_days", "channel", filters)
    left, right = st.columns(2)
    with left:
        metric_course(served, "dso_days", filters, grain="month")
    with right:
        metric_course(served, "overdue_receivables", filters, grain="week")
    _ageing(served, filters)
    _overdue(served, filters)


def _stages(served: Served, filters: Filters) -> None:
    kpis = metrics.kpis(served, STAGES, filters)
    known = [kpi for kpi in kpis if kpi.value.value is not None]
    if not known:
        st.markdown("**From order to cash**")
        needs = sorted({need for kpi in kpis for need in kpi.value.needs_missing})
        if needs:
            show_not_available("Stages from order to cash", needs)
        else:
            st.caption("No invoice was issued or paid in this period.")
        return
    rows = pl.DataFrame(
        {
            "name": [kpi.metric.label for kpi in known],
            "value": [float(kpi.value.value or 0) for kpi in known],
            "prior": [None if kpi.value.prior is None else float(kpi.value.prior) for kpi in known],
            "n": [kpi.value.n for kpi in known],
        },
        schema={"name": pl.String, "value": pl.Float64, "prior": pl.Float64, "n": pl.Int64},
    )
    chart_block(
        bar_chart(rows, value="value", unit="days", compared="prior", unit_title="Days"), title=escape_markdown(stages_title(known)),
        alt_text="Days per stage from order to cash", frame=rows, name="order-to-cash", as_of=served.context.as_of_date,
        labels={"name": "Stage", "value": "Days", "prior": "Period before (days)", "n": "Invoices"}, filters=filters.as_export(),
        definitions={kpi.metric.label: kpi.metric.description for kpi in known},
        caption="Medians of stages do not add up to the median of the whole. Grey marks: the period before.",
    )  # fmt: skip


def stages_title(known: list[Kpi]) -> str:
    """The answer: half of the invoices are paid after so many days, nine in ten after so many."""
    by_name = {kpi.metric.name: float(kpi.value.value or 0) for kpi in known}
    half, most = (by_name.get(name) for name in STAGES[2:])
    if half is None:
        return "Nothing was paid in this period; invoices were issued"
    said = f"Half of the invoices are paid {'at once' if round(half, 1) == 0 else f'within {format_days(half)} of the order'}"
    return said if most is None else f"{said}, nine in ten within {format_days(most)}{' of the order' if round(half, 1) == 0 else ''}"


def _ageing(served: Served, filters: Filters) -> None:
    found = report(served, "receivables_ageing")
    if found.missing:
        show_not_available("Age of what customers owe", found.missing)
        return
    rows = found.rows.filter(pl.col("invoices_count") > 0)
    if rows.is_empty():
        st.markdown("**Customers owe nothing**")
        return
    chart_block(
        bar_chart(
            rows, value="outstanding_reporting_amount", unit="money", member="age_band", unit_title=f"Owed ({rows['currency_code'][0]})"
        ),
        title=escape_markdown(ageing_title(rows)), alt_text="What customers owe by days past due", frame=found.rows,
        name="receivables-ageing", as_of=served.context.as_of_date, filters={}, definitions=found.definitions,
        columns=("age_band", "invoices_count", "outstanding_reporting_amount", "outstanding_rate", "oldest_due_date",
                 "unvalued_invoices_count"),
        labels={"age_band": "Past due", "outstanding_rate": "Share (%)", "invoices_count": "Invoices",
                "unvalued_invoices_count": "Without exchange rate"},
        caption="All that is open on the as-of date, whatever the page is narrowed to." if filters.where else "",
    )  # fmt: skip


def ageing_title(rows: pl.DataFrame) -> str:
    """The answer: what is owed, how much of it is past due, and how much of that is oldest."""
    currency = rows["currency_code"][0]
    amount = pl.col("outstanding_reporting_amount").cast(pl.Float64)
    total = rows.select(amount.sum()).item()
    late = rows.filter(~pl.col("age_band").is_in([NOT_DUE, "no due date"]))
    if late.is_empty():
        return f"Customers owe {format_money(total, currency)}, and nothing is past due"
    oldest = late.sort("band_order").row(-1, named=True)
    rate = late.select(pl.col("outstanding_rate").sum()).item()
    return (
        f"{format_percent(rate)} of the {format_money(total, currency)} that customers owe is past due; "
        f"{format_money(oldest['outstanding_reporting_amount'], currency)} of it {oldest['age_band']}"
    )


def _overdue(served: Served, filters: Filters) -> None:
    rows = queries.overdue_invoices(served, filters)
    if rows.is_empty():
        return
    count, total = rows["invoices_count"][0], rows["overdue_total_amount"][0]
    money = escape_markdown(format_money(total, served.context.currency_code))
    st.markdown(f"**{format_count(count, 'invoice')} {'is' if count == 1 else 'are'} past due, {money} in all; the largest first**")
    if unvalued := rows["unvalued_invoices_count"][0]:
        st.caption(f"{format_count(unvalued, 'of them')} have no exchange rate and are in no amount.")
    if count > rows.height:
        st.caption(f"The {rows.height:,} largest are listed.")
    chosen = data_table(
        rows.drop("invoices_count", "overdue_total_amount", "unvalued_invoices_count"), name="overdue-invoices",
        as_of=served.context.as_of_date, alt="Invoices past due, the largest first", filters=filters.as_export(),
        columns=("invoice_id", "order_id", "channel_id", "issued_date", "due_date", "overdue_days", "overdue_reporting_amount"),
        labels={"overdue_days": "Past due (days)", "overdue_reporting_amount": f"Open ({served.context.currency_code})",
                "invoice_id": "Invoice", "issued_date": "Issued", "due_date": "Due"},
        definitions=_OVERDUE, selects="single-row",
    )  # fmt: skip
    for row in chosen:
        page_link(served, filters, "orders", f"Open order {escape_markdown(row['order_id'])}", order=row["order_id"])
