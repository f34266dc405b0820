"""Parts of the page about customers: who comes back, who has left, and what customers are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import chart_block
from dashboards.components.customer_charts import alive_histogram, cohort_map, measures_chart, next_order_curves
from dashboards.components.customer_list import customer_list
from dashboards.components.customer_words import CUSTOMER_WORDS
from dashboards.components.formats import escape_markdown, format_change, format_date, format_money, format_percent, format_units
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.states import show_not_available
from dashboards.queries import customers
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

LEAVING: Final = ("churn_rate", "customers_alive", "contractual_churn_28_days_rate")
WORTH: Final = (
    "customer_historical_value_mean", "customer_lifetime_value_predicted", "customer_purchases_holdout_error_rate",
    "customer_value_holdout_error_rate",
)  # fmt: skip
_RETENTION, _VALUE = "Ordered again", "Net sales so far"
_COHORT_COLUMNS: Final = (
    "cohort_month", "months_since_first", "customer_count", "active_customer_count", "retention_rate", "value_reporting_amount",
    "is_complete",
)  # fmt: skip
_LABELS: Final = {
    "cohort_month": "First order in", "months_since_first": "Months since", "customer_count": "Customers", "name": "Customers",
    "active_customer_count": "Ordered", "retention_rate": "Ordered (%)", "is_complete": "Month is over", "status_date": "On",
    "kind": "What can be said", "status_share_rate": "Share (%)", "alive_from_rate": "P(alive) from (%)", "alive_to_rate": "to (%)",
    "is_churned": "Probably left", "actual_count": "Came", "predicted_count": "Expected", "naive_count": "Own past rate",
    "predicted_share_rate": "Share of what is expected (%)", "after": "After the", "days_since_order": "Days since",
    "at_risk_count": "Orders still watched", "customers_count": "Customers",
}  # fmt: skip


def show_coming_back(served: Served, filters: Filters) -> None:
    """Cohorts as a triangle, and how soon after an order comes the next."""
    found = report(served, "cohorts_monthly", limit=1)
    if found.missing:
        show_not_available("Cohorts", found.missing)
        return
    frame = customers.cohorts(served)
    if frame.is_empty():
        st.caption("No customer has ordered yet.")
        return
    what = st.segmented_control("Cohorts by", [_RETENTION, _VALUE], default=_RETENTION, required=True, bind="query-params", key="cohorts")
    is_rate = what != _VALUE
    currency = served.context.currency_code
    first = frame["cohort_month"].unique().sort()[-customers.COHORTS_SHOWN :][0]
    shown = frame.filter(pl.col("cohort_month") >= first, pl.col("months_since_first") >= (1 if is_rate else 0)).with_columns(
        pl.format("{} · {}", pl.col("cohort_month").dt.strftime("%b %Y"), "customer_count").alias("cohort")
    )
    if shown.is_empty():
        st.caption("The first customers ordered this month: nobody can have come back in a later one.")
        return
    chart_block(
        cohort_map(shown, value="retention_rate" if is_rate else "value_reporting_amount", unit="percent" if is_rate else "money"),
        title=escape_markdown(cohort_title(customers.cohort_change(served), currency, is_rate=is_rate)),
        alt_text="Cohorts by month since the first order",
        frame=frame,
        name="cohorts",
        as_of=served.context.as_of_date,
        caption=f"{'Percent of the cohort that ordered' if is_rate else f'Net sales so far per customer, {currency},'} in each calendar "
        f"month since; beside each cohort its customers. A dashed edge: the month is not over. "
        f"{_left_out(frame, first)}Guests are in no cohort.",
        columns=_COHORT_COLUMNS,
        labels=_LABELS | {"value_reporting_amount": f"Net sales so far, each ({currency})"},
        filters={},
        definitions=found.definitions,
    )
    _show_next_orders(served)
    metric_course(served, "repeat_rate_91_days", filters, grain="month")


def show_leaving(served: Served, filters: Filters) -> None:
    """What churn means here, who is left out, how sure it is, and who has just left."""
    model = customers.customer_model(served)
    if (missing := report(served, "customer_model", limit=1).missing) or model is None:
        show_not_available("Churn", missing or ("a run that fits the customer model: `ordercast run`",))
        return
    days = customers.status_days(served)
    st.info(churn_definition(model, days), icon=":material/menu_book:")
    if not show_refusal(model):
        metric_cards(served, LEAVING, filters, name="churn")
        bands = customers.alive_bands(served)
        if bands.height:
            chart_block(
                alive_histogram(bands, threshold=model["churn_threshold"]),
                title=escape_markdown(alive_title(bands)),
                alt_text="Judged customers by how likely they are still there",
                frame=bands,
                name="customers-by-p-alive",
                as_of=served.context.as_of_date,
                caption="Only customers with two purchase days or more who first bought 91 days ago or earlier.",
                columns=("alive_from_rate", "alive_to_rate", "is_churned", "customers_count", "value_reporting_amount"),
                labels=_LABELS | {"value_reporting_amount": f"Expected in 364 days ({served.context.currency_code})"},
                filters={},
                definitions=CUSTOMER_WORDS,
            )
        _show_just_left(served)
        metric_breakdown(served, "churn_rate", "first_channel", filters)
    metric_course(served, "contractual_churn_month_rate", filters, grain="month")


def show_worth(served: Served, filters: Filters) -> None:
    """What customers brought, what they are expected to bring, and how far off that was."""
    model = customers.customer_model(served)
    if (missing := report(served, "customer_model", limit=1).missing) or model is None:
        show_not_available("Predicted value", missing or ("a run that fits the customer model: `ordercast run`",))
        return
    show_refusal(model)
    metric_cards(served, WORTH, filters, name="customer-value", per_row=2)
    currency, as_of = served.context.currency_code, served.context.as_of_date
    tenths = customers.value_tenths(served)
    if tenths.height:
        measures = [("predicted_reporting_amount", "Expected in the next 364 days", theme.ACCENT),
                    ("historical_reporting_amount", "Brought so far", theme.REFERENCE)]  # fmt: skip
        best = tenths.row(0, named=True)
        chart_block(
            measures_chart(tenths, measures, unit="money"),
            title=f"The best tenth is expected to bring {format_percent(best['predicted_share_rate'])} of all customers' sales in 364 days",
            alt_text="Expected and historical value by tenths of customers",
            frame=tenths,
            name="customer-value-tenths",
            as_of=as_of,
            caption=f"{currency}; customers in tenths by what each is expected to bring. Who bought once is in it; sales before refunds.",
            columns=(
                "name",
                "customers_count",
                "predicted_reporting_amount",
                "predicted_share_rate",
                "least_reporting_amount",
                "historical_reporting_amount",
            ),
            labels=_LABELS
            | {
                "name": "Tenth",
                "predicted_reporting_amount": f"Expected ({currency})",
                "least_reporting_amount": f"Each at least ({currency})",
                "historical_reporting_amount": f"Brought so far ({currency})",
            },
            filters={},
            definitions=CUSTOMER_WORDS,
        )
    _show_holdout(served, model)


def cohort_title(change: dict[str, Any], currency: str, *, is_rate: bool) -> str:
    """The answer: the six youngest cohorts that are old enough, and the six before them."""
    month = customers.COHORT_MONTH_JUDGED
    if is_rate:
        recent, before = change["recent_rate"], change["before_rate"]
        if recent is None:
            return "No cohort is three months old yet"
        compared = "" if before is None else f", {format_change(100 * (recent - before), 'pp')} against the six cohorts before"
        return f"Of the six youngest cohorts {format_percent(recent)} ordered in month {month}{compared}"
    recent, before = change["recent_reporting_amount"], change["before_reporting_amount"]
    if recent is None:
        return "What cohorts are worth after three months is not known"
    compared = "" if before is None else f", {format_money(before, currency)} in the six cohorts before"
    return f"A customer of the six youngest cohorts brought {format_money(recent, currency)} by month {month}{compared}"


def churn_definition(model: dict[str, Any], days: pl.DataFrame) -> str:
    """Churn in words, with how many can be judged and how many cannot, as of now."""
    meant = (
        f"**A customer has churned** when a BG/NBD model holds them likelier gone than not: P(alive) below "
        f"{model['churn_threshold']:.1f}. It goes by each customer's own rhythm: who bought weekly is missed after weeks, who buys once a "
        "year is not."
    )
    if model["refusal_reason"]:
        return meant
    now = days.filter(pl.col("status_date") == days["status_date"].max())
    count = dict(now.select("kind", "customers_count").iter_rows())
    judged = count.get("Probably left", 0) + count.get("Probably still there", 0)
    return (
        f"{meant}\n\nJudged: **{format_units(judged)}** of {format_units(model['customers_count'])} customers. Not judged: "
        f"**{format_units(count.get('Bought on one day only', 0))}** bought on one day only, so there is no rhythm, and "
        f"**{format_units(count.get('Came back, too young to judge', 0))}** came back but first bought less than 91 days ago."
    )


def alive_title(bands: pl.DataFrame) -> str:
    """The answer: how many have left, and of how many the model is not sure."""
    total = int(bands["customers_count"].sum())
    left = int(bands.filter("is_churned")["customers_count"].sum())
    unsure = int(bands.filter(pl.col("alive_from_rate").is_between(0.29, 0.61))["customers_count"].sum())
    return f"{format_units(left)} of {format_units(total)} have probably left; of {format_units(unsure)} it could be either (30 % to 70 %)"


def show_refusal(model: dict[str, Any]) -> bool:
    """Why the model says nothing; returns whether it refused to judge who is still there."""
    if model["refusal_reason"]:
        st.warning(f"**No churn and no predicted value:** {escape_markdown(model['refusal_reason'])} Nothing is guessed instead.",
                   icon=":material/block:")  # fmt: skip
        return True
    if model["value_refusal_reason"]:
        st.warning(f"**No predicted value:** {escape_markdown(model['value_refusal_reason'])}", icon=":material/block:")
    return False


def holdout_title(model: dict[str, Any]) -> str:
    """The answer: what the model expected of the days held out, and what came."""
    came, expected = model["holdout_actual_count"], model["holdout_predicted_count"]
    naive = model["holdout_naive_bias_rate"]
    compared = "" if naive is None else f"; each customer's own past rate {format_change(100 * naive, '%')}"
    return (
        f"Tried on the {model['holdout_days']} days it had not seen, the model expected {format_units(expected)} purchases and "
        f"{format_units(came)} came: {format_change(100 * model['holdout_bias_rate'], '%')}{compared}"
    )


def _show_next_orders(served: Served) -> None:
    found = report(served, "next_orders", limit=1)
    frame = customers.next_orders(served)
    if found.missing or frame.is_empty():
        return
    at_91 = {row["order_number"]: row["ordered_again_rate"] for row in frame.filter(days_since_order=91).iter_rows(named=True)}
    later = f", {format_percent(at_91[2])} after the second" if 2 in at_91 else ""
    chart_block(
        next_order_curves(frame),
        title=f"Within 91 days {format_percent(at_91.get(1))} order again after the first order{later}",
        alt_text="Share that ordered again by days since an order", frame=frame, name="next-orders", as_of=served.context.as_of_date,
        caption="Kaplan-Meier: an order counts for as long as it was watched, so young orders do not look like customers lost.",
        columns=("after", "days_since_order", "ordered_again_rate", "ordered_again_count", "at_risk_count"), labels=_LABELS, filters={},
        definitions=found.definitions,
    )  # fmt: skip


def _show_just_left(served: Served) -> None:
    frame = customers.just_left(served)
    st.markdown("**Who has just left?**")
    if frame.is_empty():
        st.caption("Nobody crossed the threshold in the last 28 days.")
        return
    first = frame.row(0, named=True)
    st.markdown(
        f"{format_units(first['all_count'])} customers crossed the threshold in the last 28 days; they brought "
        f"{format_money(first['all_reporting_amount'], served.context.currency_code)} so far. Win back from the top: ranked by what the "
        "model expected of them 28 days ago."
    )
    customer_list(
        frame, served, name="just-left", alt="Customers who have just left, most valuable first", chosen_by={"left within": "28 days"},
        columns=("customer_key", "expected_before_reporting_amount", "net_reporting_amount", "order_count", "last_order_date",
                 "alive_before_rate", "alive_rate", "segment"),
    )  # fmt: skip


def _show_holdout(served: Served, model: dict[str, Any]) -> None:
    if model["holdout_refusal_reason"] or model["holdout_actual_count"] is None:
        why = model["holdout_refusal_reason"] or model["refusal_reason"] or "the run made no hold-out"
        st.caption(f":material/block: How far off the model is could not be measured: {escape_markdown(why)}")
        return
    frame = customers.holdout_classes(served)
    measures = [("actual_count", "Came", theme.REFERENCE), ("predicted_count", "Model expected", theme.ACCENT),
                ("naive_count", "Own past rate expected", theme.WARNING)]  # fmt: skip
    since = format_date(model["holdout_from"], today=served.context.as_of_date)
    chart_block(
        measures_chart(frame, measures, unit="count"),
        title=escape_markdown(holdout_title(model)),
        alt_text="Purchases in the hold-out by how often customers had come back",
        frame=frame,
        name="customer-holdout",
        as_of=served.context.as_of_date,
        caption=f"Purchase days from {since} on, by how often customers had come back before; the model was fitted without those days. "
        f"In sales it was off by {format_change(100 * model['holdout_value_bias_rate'], '%')}."
        if model["holdout_value_bias_rate"] is not None
        else f"Purchase days from {since} on, by how often customers had come back before.",
        columns=("name", "customers_count", "actual_count", "predicted_count", "naive_count"),
        labels=_LABELS
        | {
            "name": "Had come back",
            "actual_count": st.column_config.NumberColumn("Came", format="%,.0f"),
            "predicted_count": st.column_config.NumberColumn("Expected", format="%,.0f"),
            "naive_count": st.column_config.NumberColumn("Own past rate", format="%,.0f"),
        },
        filters={},
        definitions=CUSTOMER_WORDS,
    )


def _left_out(frame: pl.DataFrame, first: Any) -> str:
    older = frame.filter(pl.col("cohort_month") < first)["cohort_month"].n_unique()
    return f"{older} older cohorts are in the table. " if older else ""
