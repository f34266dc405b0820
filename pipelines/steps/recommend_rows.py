"""Reorder decisions as the rows that are written back and shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from forecasting.schema import SERIES_KEY
from inventory.explain import explain, reason
from inventory.explain_targets import Step
from inventory.protection_demand import LEAST_UNITS
from inventory.reorder import recommendation_key
from inventory.reorder_decision import NoOrder
from inventory.wording import counted, day_words
from pipelines.faults.planning import BY_KIND
from pipelines.steps.recommend_wording import money_words
from pipelines.stores.metrics_values import major_units

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal

    from forecasting.schema import FloatArray
    from inventory.choices import OrderChoice
    from inventory.reorder_decision import Reorder
    from inventory.schema import Declined, Inbound
    from pipelines.steps.recommend_planning import ItemPlan

RECOMMENDATIONS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String, "kind": pl.String, "sku": pl.String, "location_id": pl.String, "source_location_id": pl.String,
    "supplier_id": pl.String, "raw_qty": pl.Int64, "recommended_qty": pl.Int64, "unit_cost": pl.Decimal(18, 4),
    "currency_code": pl.String, "order_by": pl.Date, "need_by": pl.Date, "expected_receipt": pl.Date, "priority_score": pl.Float64,
    "p_stockout_if_ignored": pl.Float64, "cost_if_ignored_p50": pl.Decimal(18, 4), "cost_if_ignored_p90": pl.Decimal(18, 4),
    "cost_if_accepted": pl.Decimal(18, 4), "binding_constraint": pl.String, "reason": pl.String, "policy_version": pl.String,
    "basis": pl.String, "basis_version": pl.Int64, "expires_at": pl.Datetime("us"),
}  # fmt: skip
STEPS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String, "step_number": pl.Int64, "step": pl.String, "qty": pl.Float64, "note": pl.String,
}  # fmt: skip
OUTLOOK: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String, "stock_date": pl.Date, "is_with_order": pl.Boolean, "stock_p10_qty": pl.Float64,
    "stock_p50_qty": pl.Float64, "stock_p90_qty": pl.Float64,
}  # fmt: skip
CHOICES: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "recommendation_key": pl.String, "order_qty": pl.Int64, "enough_rate": pl.Float64, "lost_mean_qty": pl.Float64,
    "holding_amount": pl.Decimal(18, 4), "lost_amount": pl.Decimal(18, 4),
}  # fmt: skip
EXCLUSIONS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "sku": pl.String, "location_id": pl.String, "code": pl.String, "reason": pl.String,
}  # fmt: skip
SILENT_ITEMS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "sku": pl.String, "location_id": pl.String, "code": pl.String, "kind": pl.String, "lasts_days": pl.Int64, "reason": pl.String,
    "policy_version": pl.String,
}  # fmt: skip
_CODES: Final = {kind: fault.code for kind, fault in BY_KIND.items()}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One row that is written back, with its steps.

    `outlook` is stock without and with an order, from `stock_outlook`; `choices` are other quantities of the order.
    """

    row: dict[str, Any]
    steps: Sequence[Step]
    outlook: tuple[FloatArray, FloatArray] | None = None
    choices: Sequence[OrderChoice] = ()


def exclusion_frame(excluded: pl.DataFrame) -> pl.DataFrame:
    """Items that cannot be ordered as `inventory.eligibility.judge_items` gives them, each with its code (E6xx) and reason."""
    code = pl.col("exclusion_kind").replace_strict(_CODES, return_dtype=pl.String).alias("code")
    return excluded.select("sku", "location_id", code, pl.col("exclusion_reason").alias("reason"))


def silent_frame(excluded: pl.DataFrame, plans: Sequence[ItemPlan]) -> pl.DataFrame:
    """Every item at a location for which nothing is ordered, with the reason: what cannot be ordered, and what has enough."""
    enough = [
        (
            *plan.key,
            None,
            plan.decision.kind,
            plan.decision.lasts_days,
            _silence(plan.decision, plan.item["currency_code"]),
            plan.policy_version,
        )
        for plan in plans
        if isinstance(plan.decision, NoOrder)
    ]
    cannot = exclusion_frame(excluded).with_columns(pl.lit("excluded").alias("kind"))
    frame = pl.concat([cannot, pl.DataFrame(enough, schema=SILENT_ITEMS, orient="row")], how="diagonal_relaxed")
    return frame.select(*SILENT_ITEMS).sort(SERIES_KEY)


def _silence(decision: NoOrder, currency: str) -> str:
    if decision.declined is None:
        return decision.reason
    return f"{decision.reason} {_weighed(decision.declined, currency)}"


def _weighed(declined: Declined, currency: str) -> str:
    saved, held = (money_words(amount, currency) for amount in (declined.saved_amount, declined.held_amount))
    return f"Its {counted(declined.qty, 'unit')} would save {saved}; what is left of them at the next review counts {held}."


def suggestion_frames(suggestions: Sequence[Suggestion]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The recommendations, last day to order first and then most at risk, and the steps of each."""
    steps = [
        {
            "recommendation_key": one.row["recommendation_key"],
            "step_number": number,
            "step": step.name,
            "qty": None if step.qty is None else float(step.qty),
            "note": step.note,
        }
        for one in suggestions
        for number, step in enumerate(one.steps, start=1)
    ]
    ordered = pl.DataFrame([one.row for one in suggestions], schema=RECOMMENDATIONS, orient="row").sort(
        "order_by", "priority_score", *SERIES_KEY, "recommendation_key", descending=[False, True, False, False, False]
    )
    return ordered, pl.DataFrame(steps, schema=STEPS, orient="row").sort("recommendation_key", "step_number")


def outlook_frame(suggestions: Sequence[Suggestion], *, as_of: date) -> pl.DataFrame:
    """Stock of each suggested item from the as-of day on, with the order and without it, sorted by recommendation and day."""
    rows = [
        (one.row["recommendation_key"], as_of + timedelta(days=day), is_with_order, *quantiles)
        for one in suggestions
        if one.outlook is not None
        for is_with_order, outlook in zip((False, True), one.outlook, strict=True)
        for day, quantiles in enumerate(outlook.T.round(3).tolist())
    ]
    return pl.DataFrame(rows, schema=OUTLOOK, orient="row").sort("recommendation_key", "is_with_order", "stock_date")


def choice_frame(suggestions: Sequence[Suggestion]) -> pl.DataFrame:
    """Other quantities of each suggested order and what they come to, sorted by recommendation and quantity; money in major units."""
    rows = [
        (
            one.row["recommendation_key"], choice.qty, round(choice.enough_rate, 6), round(choice.lost_mean_qty, 3),
            major(choice.holding_amount, one.row["currency_code"]), major(choice.lost_amount, one.row["currency_code"]),
        )
        for one in suggestions
        for choice in one.choices
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=CHOICES, orient="row").sort("recommendation_key", "order_qty")


def major(amount: float | None, currency_code: str) -> Decimal | None:
    """Minor units as money of the currency."""
    return None if amount is None else major_units(round(amount), currency_code)


def purchase(plan: ItemPlan, reorder: Reorder, *, as_of: date, notes: Sequence[Step] = ()) -> Suggestion:
    """The order of one item as a suggestion.

    Args:
        plan: The item's.
        reorder: Its decision.
        as_of: Last complete day.
        notes: What else was weighed, for the end of the steps.
    """
    item, currency = plan.item, plan.item["currency_code"]
    row = {
        "recommendation_key": recommendation_key(
            kind="purchase", sku=item["sku"], location_id=item["location_id"], supplier_id=item["supplier_id"], need_by=reorder.need_by
        ),
        "kind": "purchase",
        "sku": item["sku"],
        "location_id": item["location_id"],
        "source_location_id": None,
        "supplier_id": item["supplier_id"],
        "raw_qty": reorder.raw_qty,
        "recommended_qty": reorder.rounded.qty,
        "unit_cost": major(reorder.terms.unit_cost_amount, currency),
        "currency_code": currency,
        "order_by": reorder.order_by,
        "need_by": reorder.need_by,
        "expected_receipt": reorder.expected_receipt,
        "priority_score": float(major_units(round(reorder.priority_score), currency)),
        "p_stockout_if_ignored": reorder.run_out.stockout_probability,
        "cost_if_ignored_p50": major(reorder.cost_if_ignored_p50_amount, currency),
        "cost_if_ignored_p90": major(reorder.cost_if_ignored_p90_amount, currency),
        "cost_if_accepted": major(reorder.cost_if_accepted_amount, currency),
        "binding_constraint": reorder.rounded.binding_constraint,
        "reason": reason(reorder),
        "policy_version": plan.policy_version,
        "basis": _basis(plan, reorder, as_of),
        "basis_version": item["stock_version"],
        "expires_at": expiry(as_of, reorder.policy.review_period_days),
    }
    declined = reorder.rounded.declined
    rounded = [] if declined is None else [Step("Rejected: a pack more", None, _weighed(declined, currency))]
    steps = [*explain(reorder), *_money_steps(reorder, currency), *_changed_steps(plan, as_of), *rounded, *plan.rejected, *notes]
    return Suggestion(row, steps, (reorder.outlook_without_order, reorder.outlook_with_order), reorder.choices)


def expiry(as_of: date, days: int) -> datetime:
    """The start of the day after the next review."""
    return datetime.combine(as_of + timedelta(days=1 + days), clock_time())


def _money_steps(reorder: Reorder, currency: str) -> list[Step]:
    """What ignoring and accepting cost, in words; what cannot be said names what it needs."""
    needs, running, unit = reorder.money.needs, reorder.run_out, reorder.money.shortage_amount
    chances = (
        f"Chance that a unit is missed before an order of the next review arrives: {running.stockout_probability * 100:.0f} %; "
        f"that this order saves a sale or serves one that is owed: {(reorder.need > LEAST_UNITS).mean() * 100:.0f} %."
    )
    if unit is None:
        lost = money_words(None, currency, needs=needs)
        ignoring = Step("If ignored", None, f"{chances} It saves about {running.lost_mean_qty:,.1f} units; their margin is {lost}.")
        accepting = Step("If accepted", None, f"{money_words(reorder.holding_cost_amount, currency)} to hold it; the rest is {lost}.")
        return [ignoring, accepting]
    p50, p90 = (money_words(amount, currency) for amount in (reorder.cost_if_ignored_p50_amount, reorder.cost_if_ignored_p90_amount))
    still = max(0, (reorder.cost_if_accepted_amount or 0) - reorder.holding_cost_amount)
    held, mean = (money_words(amount, currency) for amount in (reorder.holding_cost_amount, reorder.priority_score))
    steps = [
        Step(
            "If ignored",
            None,
            f"{chances} What it saves is {p50} in the median, at least {p90} in one case of ten, {mean} in the mean.",
        ),
        Step("If accepted", None, f"{held} to hold it until it is sold, {money_words(still, currency)} lost all the same."),
    ]
    if round(running.unavoidable_mean_qty):
        units, lost = counted(round(running.unavoidable_mean_qty), "unit"), money_words(running.unavoidable_mean_qty * unit, currency)
        steps.append(Step("Lost either way", None, f"{units} in the mean, {lost}, before any order can arrive."))
    return steps


def _changed_steps(plan: ItemPlan, as_of: date) -> list[Step]:
    return [
        Step(
            f"Counted as changed: {change.line.po_line_id}",
            None,
            f"{counted(change.line.open_qty, 'unit is', 'units are')} taken as "
            + ("called off" if change.kind == "cancel_po" else f"coming on {day_words(change.wanted_date, as_of)}")
            + ", as proposed beside this.",
        )
        for change in plan.changes
    ]


def _basis(plan: ItemPlan, reorder: Reorder, as_of: date) -> str:
    """The inputs of the decision, as JSON with sorted keys; what is on its way counts by the dates it has, not by those proposed."""
    terms, policy, target = reorder.terms, reorder.policy, reorder.target
    inbound_qty = inbound_within(plan.position.inbound, as_of + timedelta(days=reorder.lead_time.quantile(0.5) + policy.review_period_days))
    return json.dumps(
        stock_basis(plan, as_of)
        | {
            "inbound_qty": inbound_qty,
            "demand_p50_qty": round(reorder.protection.p50_qty, 3),
            "order_up_to_qty": reorder.order_up_to_qty - reorder.inbound_qty + inbound_qty,
            "lead_time_p50_days": reorder.lead_time.quantile(0.5),
            "lead_time_p90_days": reorder.lead_time.quantile(0.9),
            "review_period_days": policy.review_period_days,
            "service_level": policy.service_level,
            "method": policy.method,
            "ratio": target.ratio,
            "money_ratio": None if target.money_ratio is None else round(target.money_ratio, 6),
            "lost_sales_share": policy.lost_sales_share,
            "min_order_qty": terms.min_order_qty,
            "order_multiple": terms.order_multiple,
            "max_order_qty": terms.max_order_qty,
            "override_ids": [] if reorder.override is None else list(reorder.override.override_ids),
            "statistical_demand_p50_qty": None if reorder.override is None else round(reorder.override.statistical_p50_qty, 3),
        },
        sort_keys=True,
    )


def stock_basis(plan: ItemPlan, as_of: date) -> dict[str, Any]:
    """The as-of day and the stock that a decision was made from."""
    position = plan.position
    return {
        "as_of_date": as_of.isoformat(),
        "on_hand_qty": position.on_hand_qty,
        "committed_qty": position.committed_qty,
        "reserved_qty": position.reserved_qty,
        "damaged_qty": position.damaged_qty,
        "backorder_qty": position.backorder_qty,
    }


def inbound_within(inbound: Sequence[Inbound], until: date) -> int:
    """Units that are expected by then; what nobody dated counts."""
    return sum(one.open_qty for one in inbound if one.expected_date is None or one.expected_date <= until)
