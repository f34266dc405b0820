"""A reorder in words: the steps from demand to quantity, and one plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.schema import Reorder


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the reckoning; quantities in units, signed as they enter the sum."""

    name: str
    qty: float
    note: str


def explain(reorder: Reorder) -> list[Step]:
    """The steps in order: the first ones add up to the raw quantity, the last one is what is recommended."""
    lead, policy, position = reorder.lead_time, reorder.policy, reorder.position
    service = f"{policy.service_level:.0%}" if round(policy.service_level * 100, 6).is_integer() else f"{policy.service_level:.1%}"
    span = f"lead time {lead.quantile(0.5)} days (p90 {lead.quantile(0.9)}) plus review {policy.review_period_days} days"
    on_hand_note = (
        "As counted." if position.on_hand_qty >= 0 else f"The store shows {position.on_hand_qty}; stock below zero is taken as 0."
    )
    held = position.committed_qty + position.reserved_qty + position.damaged_qty
    held_note = f"{position.committed_qty} committed, {position.reserved_qty} reserved, {position.damaged_qty} damaged."
    return [
        Step("Demand over lead and review time, p50", reorder.protection.p50_qty, _joined(f"{span}; {lead.basis}.", lead.note)),
        Step("Safety stock", reorder.safety_stock_qty, f"From p50 up to the level that is enough in {service} of cases."),
        Step("On hand", -max(0, position.on_hand_qty), on_hand_note),
        Step("Dated inbound", -reorder.inbound_qty, _inbound_note(reorder)),
        Step("Committed, reserved and damaged", held, held_note),
        Step("Raw quantity", reorder.raw_qty, "Sum of the above, in whole units."),
        Step("Recommended quantity", reorder.rounded.qty, _rounding_note(reorder)),
    ]  # fmt: skip


def reason(reorder: Reorder) -> str:
    """Why to order, in one sentence."""
    lead_days, days = reorder.lead_time.quantile(0.5), reorder.run_out.days
    wanted = f"{_amount(reorder.protection.daily_mean_qty)} a day are wanted"
    delivery = f"the next delivery takes {_days(lead_days)}"
    if reorder.position.free_qty <= 0:
        return f"Out of stock; {delivery} and {wanted}."
    if days < lead_days:
        return f"Runs out {'within a day' if days < 1 else f'in about {_days(days)}'}; {delivery} and {wanted}."
    arrival = lead_days + reorder.policy.review_period_days
    if days < arrival:
        return f"Lasts about {_days(days)}; an order at the next review arrives in {_days(arrival)} and {wanted}."
    return (
        f"Lasts about {_days(days)}, but the chance to run out before an order at the next review arrives in {_days(arrival)} "
        f"is {reorder.run_out.stockout_probability:.0%}; {wanted}."
    )


def _inbound_note(reorder: Reorder) -> str:
    if not reorder.position.inbound:
        return "Nothing is on its way."
    late = f" {reorder.late_inbound_qty} more come later than that." if reorder.late_inbound_qty else ""
    overdue = f" {reorder.overdue_inbound_qty} of them are overdue." if reorder.overdue_inbound_qty else ""
    return f"Expected within lead and review time.{overdue}{late}"


def _rounding_note(reorder: Reorder) -> str:
    terms, rounded = reorder.terms, reorder.rounded
    minimum = f"minimum {max(1, terms.min_order_qty)}" + (
        f", in packs {rounded.smallest_qty}" if rounded.smallest_qty != max(1, terms.min_order_qty) else ""
    )
    words = {
        "none": "No term of the supplier changes it",
        "minimum_order": "Raised to the smallest order",
        "order_multiple": "Rounded up to whole packs",
        "maximum_order": "Cut to the largest order",
    }
    maximum = f", maximum {terms.max_order_qty}" if terms.max_order_qty is not None else ""
    return f"{words[rounded.binding_constraint]} ({minimum}, pack {terms.order_multiple}{maximum})."


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences if sentence)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _amount(qty: float) -> str:
    return f"{qty:,.0f}" if qty >= 100 else f"{qty:.1f}" if qty >= 0.95 else f"{qty:.2g}"
