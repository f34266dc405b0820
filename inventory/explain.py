"""A reorder in words: the steps from demand to quantity, and one plain sentence."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inventory.explain_targets import Step, total_qty, wanted_steps
from inventory.wording import counted, day_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from inventory.reorder_decision import Reorder
    from inventory.schema import Inbound


def explain(reorder: Reorder) -> list[Step]:
    """The steps in order: those before the raw quantity add up to it, the last one is what is recommended."""
    position = reorder.position
    on_hand_note = (
        "As counted." if position.on_hand_qty >= 0 else f"The store shows {position.on_hand_qty}; stock below zero is taken as 0."
    )
    held = position.committed_qty + position.reserved_qty + position.damaged_qty
    held_note = f"{position.committed_qty} committed, {position.reserved_qty} reserved, {position.damaged_qty} damaged."
    against = [
        Step("On hand", -max(0, position.on_hand_qty), on_hand_note),
        Step("Dated inbound", -reorder.inbound_qty, _inbound_note(reorder)),
        Step("Committed, reserved and damaged", held, held_note),
        Step("Backorders", position.backorder_qty, "Ordered and not shipped, beyond what committed holds."),
    ]
    wanted = wanted_steps(reorder, rest=reorder.raw_qty - total_qty(against))
    return [
        *wanted,
        *against,
        Step("Raw quantity", reorder.raw_qty, "Sum of the above, in whole units."),
        Step("Recommended quantity", reorder.rounded.qty, _joined(_rounding_note(reorder), _cost_note(reorder))),
    ]


def reason(reorder: Reorder) -> str:
    """Why to order, in one sentence: how long stock lasts with what arrives meanwhile, what else is on its way, how long an order takes."""
    lead_days, days, inbound = reorder.lead_time.quantile(0.5), reorder.run_out.days, reorder.position.inbound
    new_order = f"a new order takes {counted(lead_days, 'day')}"
    wanted = f"{_amount(reorder.protection.daily_mean_qty)} a day are {'wanted' if reorder.override is None else 'expected by override'}"
    if reorder.position.free_qty <= 0:
        owed = f" and {counted(-reorder.position.free_qty, 'unit')} owed" if reorder.position.free_qty < 0 else ""
        under_way = _clause(inbound, reorder.as_of) or "nothing is under way, "
        return f"Out of stock{owed}; {under_way}{new_order} and {wanted}."
    runs_out = reorder.as_of + timedelta(days=days)
    soon = [one for one in inbound if one.expected_date is None or one.expected_date <= max(runs_out, reorder.as_of)]
    later = _clause([one for one in inbound if one not in soon], reorder.as_of)
    counting = f" with {counted(_total(soon), 'unit')} {_when(soon, reorder.as_of)}" if soon else ""
    lasts = counted(days, "day")
    if days < lead_days:
        even = " even" if counting else ""
        return f"Runs out {'within a day' if days < 1 else f'in about {lasts}'}{even}{counting}; {later}{new_order} and {wanted}."
    arrival = lead_days + reorder.policy.review_period_days
    arrives = f"an order at the next review arrives in {counted(arrival, 'day')}"
    if days < arrival:
        return f"Lasts about {lasts}{counting}; {later}{arrives} and {wanted}."
    chance = f"{reorder.run_out.stockout_probability * 100:.0f} %"
    return f"Lasts about {lasts}{counting}, but the chance to run out before {arrives} is {chance}; {later}{wanted}."


def _clause(inbound: Sequence[Inbound], as_of: date) -> str:
    """What is on its way and when, as the beginning of a sentence's part; empty where nothing is."""
    if not inbound:
        return ""
    return f"{counted(_total(inbound), 'unit is', 'units are')} {_when(inbound, as_of)}, "


def _when(inbound: Sequence[Inbound], as_of: date) -> str:
    overdue = [one for one in inbound if _is_overdue(one, as_of)]
    due = sorted(one.expected_date for one in inbound if one.expected_date is not None and one.expected_date > as_of)
    if len(overdue) == len(inbound):
        return _overdue(overdue, as_of)
    if overdue:
        return f"under way ({_total(overdue)} of them {_overdue(overdue, as_of)})"
    if not due:
        return "under way without a date"
    return f"due {'on' if due[0] == due[-1] and len(due) == len(inbound) else 'from'} {day_words(due[0], as_of)}"


def _overdue(inbound: Sequence[Inbound], as_of: date) -> str:
    return f"overdue since {day_words(min(one.expected_date for one in inbound if one.expected_date is not None), as_of)}"


def _is_overdue(inbound: Inbound, as_of: date) -> bool:
    return inbound.expected_date is not None and inbound.expected_date <= as_of


def _inbound_note(reorder: Reorder) -> str:
    if not reorder.position.inbound:
        return "Nothing is on its way."
    overdue = [one for one in reorder.position.inbound if _is_overdue(one, reorder.as_of)]
    which = f", {_total(overdue)} of them {_overdue(overdue, reorder.as_of)}" if overdue else ""
    late = f" {counted(reorder.late_inbound_qty, 'more comes', 'more come')} later than that." if reorder.late_inbound_qty else ""
    return f"Expected within lead and review time{which}.{late}"


def _cost_note(reorder: Reorder) -> str | None:
    if not reorder.is_dearer_than_waiting:
        return None
    return "Holding it costs more than it is expected to save; it is proposed for the policy's sake."


def _rounding_note(reorder: Reorder) -> str:
    terms, rounded = reorder.terms, reorder.rounded
    minimum = f"minimum {max(1, terms.min_order_qty)}" + (
        f", in packs {rounded.smallest_qty}" if rounded.smallest_qty != max(1, terms.min_order_qty) else ""
    )
    fresh = counted(reorder.most_sold_fresh_qty or 0, "unit that sells", "units that sell")
    words = {
        "none": "No term of the supplier changes it",
        "minimum_order": "Raised to the smallest order",
        "order_multiple": "Rounded up to whole packs",
        "maximum_order": "Cut to the largest order",
        "shelf_life": f"Cut to the {fresh} within the shelf life in the median",
        "supplier_minimum": "Raised so that the supplier's order reaches its minimum",
        "budget": "Cut to what the budget buys",
    }
    maximum = f", maximum {terms.max_order_qty}" if terms.max_order_qty is not None else ""
    done = words[rounded.binding_constraint]
    if rounded.declined is not None:
        done = "Rounded down: a pack more costs more than it saves"
    unknown = "; whether a pack less costs less is not available: needs " + (reorder.money.needs or "")
    is_up = rounded.qty > reorder.raw_qty and rounded.binding_constraint in {"minimum_order", "order_multiple"}
    is_unknown = is_up and reorder.policy.method == "path_newsvendor" and reorder.money.needs is not None
    return f"{done} ({minimum}, pack {terms.order_multiple}{maximum}){unknown if is_unknown else ''}."


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences if sentence)


def _total(inbound: Sequence[Inbound]) -> int:
    return sum(one.open_qty for one in inbound)


def _amount(qty: float) -> str:
    return f"{qty:,.0f}" if qty >= 100 else f"{qty:.1f}" if qty >= 0.95 else f"{qty:.2g}"
