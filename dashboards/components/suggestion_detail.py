"""One suggestion opened: why, stock and demand, the reckoning, what it costs to wait or to act, and how good the forecast is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import forecasts, queries
from dashboards.components.decision_card import decision_card
from dashboards.components.demand_story import show_demand, show_evidence
from dashboards.components.formats import (
    asked_words,
    escape_markdown,
    format_date,
    format_money,
    format_percent,
    format_units,
)
from dashboards.components.kind_detail import show_kind
from dashboards.components.stock_chart import WITH, WITHOUT, stock_chart
from dashboards.suggestions import APPROVED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.decisions import Acting
    from dashboards.queries import Served, StockOutlook

_RESULTS: Final = ("Raw quantity", "Recommended quantity")
_BOUND_BY: Final = {
    "none": "no term of the supplier",
    "minimum_order": "the supplier's minimum order",
    "order_multiple": "whole packs",
    "maximum_order": "the supplier's maximum order",
}


def suggestion_detail(served: Served, suggestion: Mapping[str, Any], acting: Acting, *, today: date, clock: date) -> None:
    """Everything a planner needs to judge one suggestion, from the sentence and the buttons to the evidence.

    `clock` is the day by the clock that decisions go by: where the shop's data end, it stands still there.
    """
    as_of = served.context.as_of_date
    with st.container(gap="xsmall"):
        st.subheader(escape_markdown(f"{suggestion['sku']} {suggestion['title']} · {suggestion['location']}"), anchor=False)
        st.markdown(f"**{escape_markdown(suggestion['reason'])}**")
        st.markdown(_proposal(suggestion, as_of=as_of, today=today))
    decision_card(suggestion, acting, today=clock)
    item = {"sku": suggestion["sku"], "location_id": suggestion["location_id"]}
    is_ordered, is_purchase = suggestion["state"] == APPROVED, suggestion["kind"] == "purchase"
    left, right = st.columns([3, 2], gap="medium")
    with left:
        show_kind(suggestion, today=today)
        if not is_purchase:
            pass
        elif is_ordered:
            st.caption("An approved order counts as on its way, so the steps to it and the stock without it are not shown any more.")
        else:
            show_outlook(queries.stock_outlook(served, suggestion), today=today)
        show_demand(forecasts.demand_outlook(served, **item), today=today)
    with right:
        if not is_ordered:
            show_steps(queries.steps(served, suggestion["recommendation_key"]), suggestion)
            with st.container(border=True):
                show_consequences(suggestion)
        with st.container(border=True):
            show_evidence(forecasts.evidence(served, **item), today=today)


def show_outlook(outlook: StockOutlook, *, today: date) -> None:
    """The stock chart under a title that says what it shows, and its table twin."""
    if outlook.runs_out_date is None:
        st.markdown("**Stock lasts through the days ahead in the median; the order guards against more**")
    else:
        st.markdown(f"**Without the order, stock is used up on {format_date(outlook.runs_out_date, today=today)} in the median**")
    st.altair_chart(stock_chart(outlook), alt="Stock of the item: past, and ahead with and without the order")
    st.caption(
        "Past days show stock on hand, days ahead what is free to sell; bands hold 8 of 10 simulated courses (p10 to p90). "
        "Triangles mark what arrives and when: green is under way, blue is this order."
    )
    if outlook.history.is_empty():
        st.caption("Stock history: not available, needs stock_movements.")
    with st.expander("The chart as a table", icon=":material/table:"):
        st.dataframe(
            outlook.days.select(
                "stock_date",
                pl.when("is_with_order").then(pl.lit(WITH)).otherwise(pl.lit(WITHOUT)).alias("course"),
                "stock_p10_qty",
                "stock_p50_qty",
                "stock_p90_qty",
            ),
            column_config={
                "stock_date": st.column_config.DateColumn("Day", format="ddd D MMM"),
                "course": "Course",
                "stock_p10_qty": st.column_config.NumberColumn("p10 (units)", format="%,.0f"),
                "stock_p50_qty": st.column_config.NumberColumn("Median (units)", format="%,.0f"),
                "stock_p90_qty": st.column_config.NumberColumn("p90 (units)", format="%,.0f"),
            },
            hide_index=True,
        )


def show_steps(steps: pl.DataFrame, suggestion: Mapping[str, Any]) -> None:
    """The reckoning from demand to quantity, line by line; nothing where a suggestion that orders nothing has none."""
    if steps.is_empty() and suggestion["kind"] != "purchase":
        return
    st.markdown("**From demand to quantity**" if suggestion["kind"] == "purchase" else "**The reckoning**")
    st.table(
        pl.DataFrame(
            {
                "Step": [_step_words(step, note) for step, note in steps.select("step", "note").iter_rows()],
                "Units": ["" if qty is None else format_units(qty) for qty in steps["qty"]],  # "-" alone would be a bullet
            }
        ),
        border="horizontal",
        hide_index=True,
    )
    if suggestion["binding_constraint"] is not None:
        st.caption(f"Bound by: {_BOUND_BY.get(suggestion['binding_constraint'], suggestion['binding_constraint'])}.")


def show_consequences(suggestion: Mapping[str, Any]) -> None:
    """What ignoring costs and what accepting costs, side by side in words."""
    currency = suggestion["currency_code"]
    st.markdown("**If you ignore it, if you accept it**")
    if suggestion["kind"] != "purchase":
        st.markdown(_other_consequences(suggestion))
        return
    st.markdown(
        f"- Ignore: {format_percent(suggestion['p_stockout_if_ignored'])} chance that a unit is missed before an order of the next review "
        f"arrives; this order would save {_expected_loss(suggestion)}.\n"
        f"- Accept: {format_money(suggestion['cost'], currency)} to the supplier, "
        f"{format_money(suggestion['cost_if_accepted'], currency)} to hold the units until they are sold and for what is lost all the same."
        f"{_dearer_words(suggestion)}"
    )


def _other_consequences(suggestion: Mapping[str, Any]) -> str:
    """What is known of it in money; what is not known says so."""
    currency, accepted = suggestion["currency_code"], suggestion["cost_if_accepted"]
    chance = suggestion["p_stockout_if_ignored"]
    ignored = [] if chance is None else [f"{format_percent(chance)} chance to run out"]
    if suggestion["cost_if_ignored_p50"] is not None or suggestion["cost_if_ignored_p90"] is not None:
        p50, p90 = (format_money(suggestion[f"cost_if_ignored_{name}"], currency) for name in ("p50", "p90"))
        ignored.append(f"costs {p50}" if p50 == p90 else f"costs {p50} in the median, at most {p90} in nine cases of ten")
    return (
        f"- Ignore: {'; '.join(ignored) or 'not available'}.\n"
        f"- Accept: {'not available' if accepted is None else f'costs {format_money(accepted, currency)}'}."
    )


def _step_words(step: str, note: str | None) -> str:
    name = f"**{step}**" if step in _RESULTS else escape_markdown(step)
    return name + (f"  \n:small[{escape_markdown(note)}]" if note else "")


def _expected_loss(suggestion: Mapping[str, Any]) -> str:
    expected = format_money(suggestion["at_risk"], suggestion["currency_code"])
    if suggestion["at_risk_basis"] == "unit cost":
        return f"sales worth {expected} at unit cost on average, as no margin is known"
    high = format_money(suggestion["cost_if_ignored_p90"], suggestion["currency_code"])
    return f"margin of {expected} on average, at most {high} in nine cases of ten"


def _dearer_words(suggestion: Mapping[str, Any]) -> str:
    if not suggestion["is_dearer_than_waiting"]:
        return ""
    level = suggestion["service_level"]
    of_level = "" if level is None else f" of {level * 100:g} %"
    return f"\n- Holding it costs more than it is expected to save; it is proposed for the service level{of_level}."


def _proposal(suggestion: Mapping[str, Any], *, as_of: date, today: date) -> str:
    if suggestion["kind"] != "purchase":
        said = asked_words(dict(suggestion) | {"qty": suggestion["recommended_qty"]}, today=today)
        by = "" if suggestion["order_by"] is None or suggestion["state"] == APPROVED else f", {_due(suggestion, as_of=as_of, today=today)}"
        return f"{'Proposed was: ' if suggestion['state'] == APPROVED else ''}**{escape_markdown(said)}**{by}."
    if suggestion["state"] == APPROVED:
        return f"Proposed were {format_units(suggestion['recommended_qty'])} units from {escape_markdown(suggestion['supplier'])}."
    return (
        f"Order **{format_units(suggestion['recommended_qty'])} units** (raw need {format_units(suggestion['raw_qty'])}) from "
        f"{escape_markdown(suggestion['supplier'])} {_due(suggestion, as_of=as_of, today=today)}, "
        f"{format_money(suggestion['cost'], suggestion['currency_code'])}; "
        f"ordered today it is expected {format_date(suggestion['expected_receipt'], today=today)}; "
        f"needed {format_date(suggestion['need_by'], today=today)}."
    )


def _due(suggestion: Mapping[str, Any], *, as_of: date, today: date) -> str:
    return "today" if suggestion["order_by"] <= as_of else f"by {format_date(suggestion['order_by'], today=today)}"
