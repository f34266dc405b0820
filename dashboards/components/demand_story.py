"""The demand behind a suggestion: what was wanted, what is forecast, what people expect instead, and how good such forecasts have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import chart_block
from dashboards.components.demand_chart import demand_chart
from dashboards.components.formats import (
    escape_markdown,
    format_change,
    format_count,
    format_date,
    format_number,
    format_percent,
    format_units,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.queries.forecasts import DemandOutlook

_MODELS: Final = {
    "pooled_ensemble": "mean of smoothing methods on pooled profiles",
    "ses": "exponential smoothing on pooled profiles",
    "like_items": "what like items sold at its age",
    "pooled_ensemble_without_year": "mean of smoothing methods on pooled profiles, without the time of year",
    "pooled_ensemble_without_calendar": "mean of smoothing methods on pooled profiles, without promotions and holidays",
    "seasonal_naive": "the same weekday a week before",
    "history_mean": "mean of the history",
}


def show_demand(outlook: DemandOutlook, *, item: Mapping[str, str], today: date) -> None:
    """History and forecast of one item, with overrides beside the forecast and never in its place, and the table twin.

    Args:
        outlook: The item's.
        item: Its sku and location_id, for the export.
        today: For the year of dates.
    """
    if outlook.days.is_empty():
        st.markdown("**Demand has no forecast**")
        return
    censored = outlook.censored_days_count
    out = f" Marks on the axis: {format_count(censored, 'day')} that ended without stock, not taken for lack of demand." if censored else ""
    chart_block(
        demand_chart(outlook), title=_headline(outlook), alt_text="Demand of the item: past days, and days ahead with their range",
        caption=f"Units a day; the band holds 8 of 10 days (p10 to p90) and is not to be added up over days.{out}",
        frame=_as_table(outlook), name="item-demand", as_of=outlook.as_of_date, labels=_LABELS, filters=item, definitions=_DEFINITIONS,
    )  # fmt: skip
    if said := _overrides(outlook, today=today):
        st.markdown(said)


def show_evidence(evidence: Mapping[str, Any] | None, *, today: date) -> None:
    """How the forecast behind it did on past cut-offs against seasonal naive."""
    if evidence is None or evidence["wape_rate"] is None:
        st.markdown("**How good the forecast behind it is**")
        st.caption("Not tested: the item's history is too short for a backtest.")
        return
    st.markdown(f"**{evidence_words(evidence)}**", help=_EVIDENCE_HELP)
    fallback = f" ({escape_markdown(evidence['fallback_reason'])})" if evidence["fallback_reason"] else ""
    bias = evidence["bias_rate"]
    leaning = "" if bias is None else f"- It was {format_percent(abs(bias))} too {'high' if bias > 0 else 'low'} in total.\n"
    st.markdown(
        f"{leaning}"
        f"- The p10-p90 band held {format_percent(evidence['band_coverage_rate'])} of days (80 % would be exact).\n"
        f"- Tested on {format_count(evidence['windows_count'], 'past cut-off')} of {format_units(evidence['horizon_days'])} days each, "
        f"with the data of {format_date(evidence['backtest_date'], today=today)}.\n"
        f"- {format_units(evidence['history_days_count'])} days of history; on {format_units(evidence['censored_days_count'])} of them "
        "there was no stock, which is not taken for lack of demand.\n"
        f"- Model: {_MODELS.get(evidence['model'], escape_markdown(evidence['model']))}{fallback}."
    )


def evidence_words(evidence: Mapping[str, Any]) -> str:
    """As in "The forecast errs by 31.0 % of demand a day, the naive one by 43.0 %: 27.9 % better"."""
    said, gain = f"The forecast errs by {format_percent(evidence['wape_rate'])} of demand a day", evidence["fva_rate"]
    if gain is None:
        return said
    naive, kind = format_percent(evidence["naive_wape_rate"]), "better" if gain >= 0 else "worse"
    return f"{said}, the naive one by {naive}: {format_percent(abs(gain))} {kind}"


_EVIDENCE_HELP: Final = (
    "The sum of daily errors as a share of what was wanted (WAPE). An item that sells now and then has a high one with any method, since "
    "nobody knows on which day it sells; what counts is the comparison with the naive forecast, the same weekday a week before. Orders "
    "rest on sums over many days, which err far less."
)


def _headline(outlook: DemandOutlook) -> str:
    when = "while in stock" if outlook.censored_days_count else f"in the last {outlook.history.height} days"
    sold = f"{format_number(outlook.sold_a_day)} a day were wanted {when}"
    forecast = f"{format_number(outlook.forecast_a_day)} are forecast for the next {outlook.days.height} days"
    if outlook.overrides.is_empty():
        return f"{sold}, {forecast}"
    return f"{sold}, {forecast}, {format_number(outlook.expected_a_day)} are expected by override"


def _overrides(outlook: DemandOutlook, *, today: date) -> str:
    """A line per override that holds, and what earlier ones of the item were worth."""
    lines = [
        f"- Override by {escape_markdown(row['author'])}, {format_date(row['from_date'], today=today)} to "
        f"{format_date(row['to_date'], today=today)}: {_amount(row['kind'], row['value'])}. {escape_markdown(row['reason'])}"
        for row in outlook.overrides.iter_rows(named=True)
    ]
    if outlook.override_fva_rate is not None:
        change = format_change(100 * outlook.override_fva_rate, "%")
        lines.append(f"- Overrides of this item so far: {change} value added to the forecast, n = {outlook.judged_days_count} days.")
    return "\n".join(lines)


def _amount(kind: str, value: float) -> str:
    return f"{value:g} units a day" if kind == "absolute" else f"{value:g} times the forecast"


def _as_table(outlook: DemandOutlook) -> pl.DataFrame:
    past = outlook.history.select("demand_date", pl.col("demand_qty").alias("actual_qty"), "is_censored")
    ahead = outlook.days.select(
        "demand_date", "statistical_mean_qty", "demand_p10_qty", "demand_p90_qty",
        pl.when(pl.col("override_id").is_not_null()).then("demand_mean_qty").alias("override_mean_qty"),
    )  # fmt: skip
    return pl.concat([past, ahead], how="diagonal").sort("demand_date", descending=True)


_DEFINITIONS: Final = {
    "actual_qty": "Units ordered on the day; blank for days ahead.",
    "is_censored": "The day ended without stock, so more may have been wanted than was ordered; blank for days ahead.",
    "statistical_mean_qty": "Mean units a day as forecast, without overrides.",
    "demand_p10_qty": "One day in ten brings less; not to be added up over days.",
    "demand_p90_qty": "One day in ten brings more; not to be added up over days.",
    "override_mean_qty": "Mean units a day that a person expects instead; blank where nobody does.",
}
_LABELS: Final = {
    "demand_date": st.column_config.DateColumn("Day", format="ddd D MMM"), "actual_qty": "Wanted (units)", "is_censored": "Without stock",
    "statistical_mean_qty": st.column_config.NumberColumn("Forecast (units)", format="%,.1f", help=_DEFINITIONS["statistical_mean_qty"]),
    "demand_p10_qty": st.column_config.NumberColumn("p10 (units)", format="%,.1f", help=_DEFINITIONS["demand_p10_qty"]),
    "demand_p90_qty": st.column_config.NumberColumn("p90 (units)", format="%,.1f", help=_DEFINITIONS["demand_p90_qty"]),
    "override_mean_qty": st.column_config.NumberColumn("Override (units)", format="%,.1f", help=_DEFINITIONS["override_mean_qty"]),
}  # fmt: skip
