"""Changes of orders that stand as suggestions: bring forward, put off, call off."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from inventory.explain_targets import Step
from inventory.money import unit_money
from inventory.reorder import recommendation_key
from inventory.wording import counted, day_words
from pipelines.steps.recommend_planning import order_terms
from pipelines.steps.recommend_rows import Suggestion, expiry, major, stock_basis
from pipelines.steps.recommend_wording import money_words

if TYPE_CHECKING:
    from datetime import date

    from inventory.changes import OrderChange
    from pipelines.steps.recommend_planning import ItemPlan

LEAST_LOST_QTY: Final = 0.05  # what reads as no sale


def order_change(plan: ItemPlan, change: OrderChange, *, as_of: date) -> Suggestion:
    """One change of a line of a purchase order as a suggestion; its quantity is what is open on the line.

    `need_by` is the day wanted (for a line that is called off the day it is expected), `expected_receipt` the day as it stands.
    """
    item, line, currency = plan.item, change.line, plan.item["currency_code"]
    wanted = change.expected_date if change.kind == "cancel_po" else change.wanted_date
    row = {
        "recommendation_key": recommendation_key(
            kind=change.kind, sku=item["sku"], location_id=item["location_id"], supplier_id=line.supplier_id, need_by=wanted,
            po_line_id=line.po_line_id,
        ),
        "kind": change.kind,
        "sku": item["sku"],
        "location_id": item["location_id"],
        "source_location_id": None,
        "supplier_id": line.supplier_id,
        "raw_qty": line.open_qty,
        "recommended_qty": line.open_qty,
        "unit_cost": major(item["unit_cost_amount"], currency),
        "currency_code": currency,
        "order_by": as_of,
        "need_by": wanted,
        "expected_receipt": change.expected_date,
        "priority_score": float(major(change.priority_score, currency) or 0),
        "p_stockout_if_ignored": change.stockout_probability,
        "cost_if_ignored_p50": major(change.cost_if_ignored_p50_amount, currency),
        "cost_if_ignored_p90": major(change.cost_if_ignored_p90_amount, currency),
        "cost_if_accepted": major(change.cost_if_accepted_amount, currency),
        "binding_constraint": "none",
        "reason": change_words(change, as_of),
        "policy_version": plan.policy_version,
        "basis": _basis(plan, change, as_of),
        "basis_version": item["stock_version"],
        "expires_at": expiry(as_of, plan.policy.review_period_days),
    }  # fmt: skip
    return Suggestion(row, _steps(plan, change, as_of))


def _basis(plan: ItemPlan, change: OrderChange, as_of: date) -> str:
    """The inputs of the change, as JSON with sorted keys."""
    line = change.line
    return json.dumps(
        stock_basis(plan, as_of)
        | {
            "po_id": line.po_id,
            "po_line_id": line.po_line_id,
            "open_qty": line.open_qty,
            "expected_date": change.expected_date.isoformat(),
            "wanted_date": None if change.kind == "cancel_po" else change.wanted_date.isoformat(),
        },
        sort_keys=True,
    )


def change_words(change: OrderChange, as_of: date) -> str:
    """Why the line should be changed, in one sentence."""
    line, wanted = change.line, day_words(change.wanted_date, as_of)
    what, due = f"{counted(line.open_qty, 'unit')} on {line.po_id}", day_words(change.expected_date, as_of)
    arrive, are, they, them = ("arrives", "is", "it", "it") if line.open_qty == 1 else ("arrive", "are", "they", "them")
    lasts = counted(change.lasts_days, "day")
    match change.kind:
        case "expedite":
            saved = counted(round(change.saved_mean_qty), "sale")
            start = "There is none left" if change.lasts_days <= 0 else f"Runs out in about {lasts}"
            return f"{start}, before {what} {arrive} on {due}; on {wanted} {they} would save {saved}."
        case "defer":
            return f"{what} {arrive} on {due} and {are} not needed before {wanted}: stock lasts {lasts} without {them}."
        case "cancel_po":
            years = "more than a year" if change.lasts_days < 730 else f"{change.lasts_days // 365} years"
            return f"{what} due on {due} would be dead stock: without {them} stock lasts {years}."


def _steps(plan: ItemPlan, change: OrderChange, as_of: date) -> list[Step]:
    line, currency, position = change.line, plan.item["currency_code"], plan.position
    others = sum(one.open_qty for one in position.inbound if one is not line)
    shift = (change.wanted_date - change.expected_date).days
    if change.kind == "expedite":
        earliest = f"Not before {day_words(change.wanted_date, as_of)}: the best tenth of lead times from today."
        money = Step("If ignored", None, f"{change.saved_mean_qty:,.1f} sales are lost until it comes: {_amounts(change, currency)}.")
    else:
        earliest = "Not at all." if change.kind == "cancel_po" else f"{counted(shift, 'day')} later than it stands."
        money = Step("If ignored", None, f"{money_words(change.priority_score, currency)} to hold what is not needed.")
    return [
        Step("Free stock", position.free_qty, "On hand less committed, reserved, damaged and backorders."),
        Step("Other deliveries", others, "On their way besides this line."),
        Step("Lasts without it, days", change.lasts_days, f"Until {day_words(as_of + timedelta(days=max(0, change.lasts_days)), as_of)}."),
        Step("Open on the line", line.open_qty, f"{line.po_line_id}, expected on {day_words(change.expected_date, as_of)}."),
        Step("Wanted", line.open_qty, earliest),
        money,
        Step(
            "If accepted",
            None,
            f"{money_words(change.cost_if_accepted_amount, currency, needs='a list price')}; the supplier has to agree.",
        ),
        _rejected(plan, change, as_of),
    ]


def _rejected(plan: ItemPlan, change: OrderChange, as_of: date) -> Step:
    """What was weighed beside the change, and why it was not taken."""
    other, currency, qty = change.rejected, plan.item["currency_code"], change.line.open_qty
    money = unit_money(order_terms(plan.item, plan.item), plan.policy)
    lost_amount = None if money.shortage_amount is None else other.more_lost_mean_qty * money.shortage_amount
    match other.kind:
        case "purchase":
            cost = None if lost_amount is None else lost_amount + other.more_held_amount
            comes = "" if other.arrives_date is None else f"It would come on {day_words(other.arrives_date, as_of)}, lose "
            bought = money_words(qty * plan.item["unit_cost_amount"], currency)
            return Step(
                f"Rejected: order {qty:,} now instead",
                None,
                f"{comes}{other.more_lost_mean_qty:,.1f} sales more and buy {bought} more of stock; dearer by "
                f"{money_words(cost, currency, needs=money.needs)} in sales and holding.",
            )
        case "cancel_po":
            if other.more_lost_mean_qty <= LEAST_LOST_QTY:
                return Step("Rejected: call it off", None, "Stock does not last a year without it.")
            lost = money_words(lost_amount, currency, needs=money.needs)
            return Step("Rejected: call it off", None, f"{other.more_lost_mean_qty:,.1f} sales would be lost for it: {lost}.")
        case "defer":
            return Step("Rejected: put it off", None, f"It would not be needed for {counted(change.lasts_days, 'day')}, more than a year.")


def _amounts(change: OrderChange, currency: str) -> str:
    if change.cost_if_ignored_p50_amount is None:
        return money_words(None, currency, needs="a list price in the supplier's currency")
    p50, p90 = (money_words(amount, currency) for amount in (change.cost_if_ignored_p50_amount, change.cost_if_ignored_p90_amount))
    return f"{p50} in the median, at least {p90} in one case of ten"
