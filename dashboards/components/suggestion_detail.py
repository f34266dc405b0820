"""One suggestion opened: why, stock and demand, the reckoning, what it costs to wait or to act, and how good the forecast is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.consequences import CONSEQUENCES, show_consequences, units_or_blank
from dashboards.components.decision_card import decision_card
from dashboards.components.demand_story import show_demand, show_evidence
from dashboards.components.exports import export_button
from dashboards.components.formats import (
    asked_words,
    escape_markdown,
    format_count,
    format_date,
    format_money,
    format_units,
)
from dashboards.components.kind_detail import show_kind
from dashboards.components.other_ways import show_other_ways, show_rests_on
from dashboards.components.share_table import show_shares
from dashboards.components.stock_outlook import show_outlook
from dashboards.queries import forecasts, reorder
from dashboards.queries.allocation import shares
from dashboards.queries.suggestions import APPROVED
from dashboards.queries.worklist import others_about
from pipelines.decisions.wording import basis_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.decisions import Acting
    from dashboards.queries.releases import Served

_RESULTS: Final = ("Raw quantity", "Recommended quantity")
_REJECTED: Final = "Rejected: "
_DEFINITIONS: Final = {
    "step": "What is added, taken off or rounded, in order.",
    "qty": "Units; blank where a step is no quantity.",
    "note": "Where the figure comes from.",
}
_BOUND_BY: Final = {
    "none": "no term of the supplier",
    "minimum_order": "the supplier's minimum order",
    "order_multiple": "whole packs",
    "maximum_order": "the supplier's maximum order",
    "supplier_minimum": "the supplier's minimum of an order",
    "shelf_life": "what sells within its shelf life",
    "budget": "the budget",
}


def suggestion_detail(
    served: Served, suggestion: Mapping[str, Any], acting: Acting, *, frame: pl.DataFrame, today: date, clock: date
) -> None:
    """Everything a planner needs to judge one suggestion, from the sentence and the buttons to the evidence.

    Args:
        served: The release.
        suggestion: A row of `frame`.
        acting: Who decides.
        frame: All suggestions, for the others about the same item.
        today: For the year of dates.
        clock: The day by the clock that decisions go by: where the shop's data end, it stands still there.
    """
    as_of, is_open = served.context.as_of_date, suggestion["state"] != APPROVED
    _head(suggestion, as_of=as_of, today=today)
    has_choices = suggestion["kind"] == "purchase" and is_open
    choices = reorder.order_choices(served, suggestion["recommendation_key"]) if has_choices else ()
    decision_card(suggestion, acting, today=clock, choices=choices)
    if is_open:
        show_rests_on(suggestion)
    if suggestion["kind"] == "allocate":
        show_shares(shares(served, suggestion), suggestion, as_of=as_of)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _stock_and_demand(served, suggestion, today=today)
    with right:
        if is_open:
            _weighing(suggestion, reorder.steps(served, suggestion["recommendation_key"]), frame=frame, as_of=as_of, today=today)


def _head(suggestion: Mapping[str, Any], *, as_of: date, today: date) -> None:
    """What it is about, why, what is proposed, and over which days."""
    with st.container(gap="xsmall"):
        st.subheader(escape_markdown(f"{suggestion['sku']} {suggestion['title']} · {suggestion['location']}"), anchor=False)
        st.markdown(f"**{escape_markdown(suggestion['reason'])}**")
        st.markdown(_proposal(suggestion, as_of=as_of, today=today))
        if suggestion["kind"] == "purchase" and (said := _horizon(suggestion)):
            st.caption(said)


def _stock_and_demand(served: Served, suggestion: Mapping[str, Any], *, today: date) -> None:
    """The item's stock and demand, behind and ahead, and how good its forecast has been."""
    item = {"sku": suggestion["sku"], "location_id": suggestion["location_id"]}
    show_kind(suggestion, today=today)
    if suggestion["kind"] == "purchase" and suggestion["state"] == APPROVED:
        st.caption("An approved order counts as on its way, so the steps to it and the stock without it are not shown any more.")
    elif suggestion["kind"] == "purchase":
        show_outlook(reorder.stock_outlook(served, suggestion), item=item, today=today)
    show_demand(forecasts.demand_outlook(served, **item), item=item, today=today)
    with st.container(border=True):
        show_evidence(forecasts.evidence(served, **item), today=today)


def _weighing(suggestion: Mapping[str, Any], steps: pl.DataFrame, *, frame: pl.DataFrame, as_of: date, today: date) -> None:
    """What waiting and accepting cost, what could be done instead, and the reckoning."""
    is_rejected, is_consequence = pl.col("step").str.starts_with(_REJECTED), pl.col("step").is_in(CONSEQUENCES)
    with st.container(border=True):
        show_consequences(suggestion, steps.filter(is_consequence))
    with st.container(border=True):
        show_other_ways(others_about(frame, dict(suggestion)), steps.filter(is_rejected), suggestion, today=today)
    show_steps(steps.filter(~is_rejected & ~is_consequence), suggestion, as_of=as_of)


def show_steps(steps: pl.DataFrame, suggestion: Mapping[str, Any], *, as_of: date) -> None:
    """The reckoning from demand to quantity, line by line with its export; nothing where a suggestion that orders nothing has none."""
    if steps.is_empty() and suggestion["kind"] != "purchase":
        return
    st.markdown("**From demand to quantity**" if suggestion["kind"] == "purchase" else "**The reckoning**")
    about = {name: suggestion[name] for name in ("sku", "location_id")}
    export_button(steps, name="reckoning", as_of=as_of, filters=about, definitions=_DEFINITIONS)
    st.table(
        pl.DataFrame(
            {
                "Step": [_step_words(step, note) for step, note in steps.select("step", "note").iter_rows()],
                "Units": [units_or_blank(qty) for qty in steps["qty"]],
            }
        ),
        border="horizontal",
        hide_index=True,
    )
    if suggestion["binding_constraint"] is not None and suggestion["kind"] == "purchase":
        st.caption(f"Bound by: {_BOUND_BY.get(suggestion['binding_constraint'], suggestion['binding_constraint'])}.")


def _step_words(step: str, note: str | None) -> str:
    name = f"**{step}**" if step in _RESULTS else escape_markdown(step)
    return name + (f"  \n:small[{escape_markdown(note)}]" if note else "")


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


def _horizon(suggestion: Mapping[str, Any]) -> str:
    """Over which days the demand of the reason is taken; "" where the release does not say."""
    basis = basis_of(suggestion)
    lead, review, median = (basis.get(name) for name in ("lead_time_p50_days", "review_period_days", "demand_p50_qty"))
    if lead is None or review is None or median is None:
        return ""
    days = format_count(lead + review, "day")
    return f"What is wanted a day is the mean over the {days} of lead and review time; in all {format_units(median)} units in the median."


def _due(suggestion: Mapping[str, Any], *, as_of: date, today: date) -> str:
    return "today" if suggestion["order_by"] <= as_of else f"by {format_date(suggestion['order_by'], today=today)}"
