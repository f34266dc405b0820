"""Transfers from locations that can spare units, before units are bought."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.explain_targets import Step
from inventory.money import unit_money
from inventory.moves import FRICTION, plan_moves
from inventory.reorder import recommendation_key
from inventory.reorder_decision import NoOrder, Reorder
from inventory.schema import Inbound
from inventory.wording import counted, day_words
from pipelines.steps.recommend_planning import order_terms
from pipelines.steps.recommend_rows import Suggestion, expiry, inbound_within, major, stock_basis
from pipelines.steps.recommend_wording import money_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from inventory.moves import Move
    from pipelines.steps.recommend_planning import ItemPlan, Planner
    from pipelines.steps.recommend_policies import Item

MOST_NAMED: Final = 3


def move_stock(plans: Sequence[ItemPlan], planner: Planner) -> tuple[list[ItemPlan], list[Suggestion], Planner]:
    """The plans with what transfers bring taken as coming and what they take as gone, the transfers, and the planner that counts them so.

    Nothing moves from where something is ordered.

    Args:
        plans: Of all items, with their holdings.
        planner: That made them.
    """
    short = {plan.key[0] for plan in plans if plan.is_short and plan.holding is not None and plan.holding.missing.any()}
    holdings = {plan.key: plan.holding for plan in plans if plan.key[0] in short and plan.holding is not None}
    moves = plan_moves({
        key: replace(one, free_qty=min(0, one.free_qty)) if is_short else one
        for key, one, is_short in ((plan.key, holdings[plan.key], plan.is_short) for plan in plans if plan.key in holdings)
    })  # fmt: skip
    passed = _passed_over([plan for plan in plans if plan.key in holdings], moves)
    if not moves:
        return _explained(plans, passed), [], planner
    by_key = {plan.key: plan for plan in plans}
    suggestions = [
        transfer(
            by_key[move.sku, move.target], by_key[move.sku, move.source], move, planner=planner, passed=passed.get((move.sku, move.target))
        )
        for move in moves
    ]
    counting = _counting(planner, moves)
    return _explained(_with_moves(plans, counting, moves), passed), suggestions, counting


def _passed_over(plans: Sequence[ItemPlan], moves: Sequence[Move]) -> dict[Item, Step]:
    """For each item that is short somewhere, why nothing moves there from the other places that have or sell it."""
    by_sku: dict[str, list[ItemPlan]] = {}
    for plan in plans:
        by_sku.setdefault(plan.key[0], []).append(plan)
    sent = {(move.sku, move.source, move.target) for move in moves}
    passed: dict[Item, Step] = {}
    for plan in plans:
        (sku, place), reasons = plan.key, dict[str, list[str]]()
        if plan.holding is None or not plan.holding.missing.any():
            continue
        for other in by_sku[sku]:
            if other.key != plan.key and (sku, other.key[1], place) not in sent:
                reasons.setdefault(_why_not(other), []).append(other.key[1])
        if reasons:
            said = (f"{_places(names)}: {reason}" for reason, names in sorted(reasons.items()))
            passed[plan.key] = Step("Rejected: move from elsewhere", None, f"{'; '.join(said)}.")
    return passed


def _why_not(other: ItemPlan) -> str:
    if other.is_short:
        return "short as well"
    return "none to spare" if other.position.free_qty <= 0 else f"a unit saves less than {FRICTION:g} of a sale more here than there"


def _places(names: Sequence[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed) if len(listed) <= MOST_NAMED else f"{', '.join(listed[:MOST_NAMED])} and {len(listed) - MOST_NAMED} more"


def _explained(plans: Sequence[ItemPlan], passed: Mapping[Item, Step]) -> list[ItemPlan]:
    return [replace(plan, rejected=(*plan.rejected, passed[plan.key])) if plan.key in passed else plan for plan in plans]


def _counting(planner: Planner, moves: Sequence[Move]) -> Planner:
    """The planner with what moves bring as coming; it moves nothing further."""
    inbound = dict(planner.inbound)
    for move in moves:
        key, day = (move.sku, move.target), planner.as_of + timedelta(days=planner.transfer_days[move.target])
        inbound[key] = (*inbound.get(key, ()), Inbound(day, move.qty))
    return replace(planner, inbound=inbound, transfer_days={})


def _with_moves(plans: Sequence[ItemPlan], counting: Planner, moves: Sequence[Move]) -> list[ItemPlan]:
    """The plans of receivers and senders made anew; what a sender gives is taken as reserved."""
    told: dict[tuple[str, str], list[str]] = {}
    sent: dict[tuple[str, str], int] = {}
    for move in moves:
        told.setdefault((move.sku, move.target), []).append(f"{counted(move.qty, 'unit')} from {move.source}")
        told.setdefault((move.sku, move.source), []).append(f"{counted(move.qty, 'unit')} to {move.target}")
        sent[move.sku, move.source] = sent.get((move.sku, move.source), 0) + move.qty
    items = [{**plan.item, "reserved_qty": (plan.item["reserved_qty"] or 0) + sent.get(plan.key, 0)} for plan in plans if plan.key in told]
    again = {plan.key: plan for plan in counting.plan(items)}
    return [_told(plan, again[plan.key], " and ".join(told[plan.key])) if plan.key in told else plan for plan in plans]


def _told(before: ItemPlan, after: ItemPlan, moved: str) -> ItemPlan:
    decision = after.decision
    if isinstance(decision, NoOrder):
        decision = replace(decision, reason=f"{decision.reason} That counts {moved}, as proposed.")
    note = Step("Counted as moved", None, f"{moved[0].upper() + moved[1:]}, as proposed beside this.")
    return replace(after, position=before.position, decision=decision, rejected=(*after.rejected, note))


def transfer(target: ItemPlan, source: ItemPlan, move: Move, *, planner: Planner, passed: Step | None) -> Suggestion:
    """Units to move as a suggestion, with the money of both sides; `passed` says why no other place sends more."""
    item, currency, as_of, qty = target.item, target.item["currency_code"], planner.as_of, move.qty
    days = planner.transfer_days[move.target]
    receipt, saved = as_of + timedelta(days=days), float(move.saved.mean())
    unit = unit_money(order_terms(item, item), target.policy).shortage_amount
    need_by = target.decision.need_by if isinstance(target.decision, Reorder) else receipt
    row = {
        "recommendation_key": recommendation_key(
            kind="transfer", sku=move.sku, location_id=move.target, supplier_id=None, need_by=need_by, source_location_id=move.source
        ),
        "kind": "transfer",
        "sku": move.sku,
        "location_id": move.target,
        "source_location_id": move.source,
        "supplier_id": None,
        "raw_qty": qty,
        "recommended_qty": qty,
        "unit_cost": major(item["unit_cost_amount"], currency),
        "currency_code": currency,
        "order_by": as_of,
        "need_by": need_by,
        "expected_receipt": receipt,
        "priority_score": float(major(saved * (item["unit_cost_amount"] if unit is None else unit), currency) or 0),
        "p_stockout_if_ignored": float((move.saved > 0).mean()),
        "cost_if_ignored_p50": None if unit is None else major(float(np.quantile(move.saved, 0.5)) * unit, currency),
        "cost_if_ignored_p90": None if unit is None else major(float(np.quantile(move.saved, 0.9)) * unit, currency),
        "cost_if_accepted": None if unit is None else major(move.lost_mean_qty * unit, currency),
        "binding_constraint": "none",
        "reason": _reason(move),
        "policy_version": target.policy_version,
        "basis": _basis(target, source, move, days=days, as_of=as_of),
        "basis_version": item["stock_version"],
        "expires_at": expiry(as_of, target.policy.review_period_days),
    }
    others = () if passed is None else (passed,)
    return Suggestion(row, [*_steps(target, source, move, days=days), *_rejected_order(target, move, as_of), *others])


def _reason(move: Move) -> str:
    they, save = ("it", "it saves") if move.qty == 1 else ("they", "they save")
    return (
        f"{move.source} can spare {counted(move.qty, 'unit')}: there {they} would sell {_sales(move.lost_mean_qty)} "
        f"before an order could come, here {save} {_sales(float(move.saved.mean()))}."
    )


def _basis(target: ItemPlan, source: ItemPlan, move: Move, *, days: int, as_of: date) -> str:
    """The inputs of the move, as JSON with sorted keys."""
    review = target.policy.review_period_days
    inbound_qty = inbound_within(target.position.inbound, as_of + timedelta(days=days + review))
    return json.dumps(
        stock_basis(target, as_of)
        | {
            "inbound_qty": inbound_qty,
            "order_up_to_qty": move.qty + target.position.free_qty + inbound_qty,
            "lead_time_p50_days": days,
            "review_period_days": review,
            "min_order_qty": 1,
            "order_multiple": 1,
            "source_free_qty": source.position.free_qty,
        },
        sort_keys=True,
    )


def _rejected_order(target: ItemPlan, move: Move, as_of: date) -> list[Step]:
    """Why the same units are not ordered: when they would come, and what is lost until then."""
    if not isinstance(target.decision, Reorder):
        return []
    item, decision = target.item, target.decision
    bought = money_words(move.qty * item["unit_cost_amount"], item["currency_code"])
    comes, lost = day_words(decision.expected_receipt, as_of), _sales(float(move.saved.mean()))
    why = f"An order would come on {comes}, too late for the {lost} sales that these save, and cost {bought}."
    return [Step(f"Rejected: order {move.qty:,} now instead", None, why)]


def _steps(target: ItemPlan, source: ItemPlan, move: Move, *, days: int) -> list[Step]:
    item, saved = target.item, float(move.saved.mean())
    currency, money = item["currency_code"], unit_money(order_terms(item, item), target.policy)
    ignored, given = (
        money_words(None if money.shortage_amount is None else one * money.shortage_amount, currency, needs=money.needs)
        for one in (saved, move.lost_mean_qty)
    )
    left = source.position.free_qty - move.qty
    return [
        Step(f"Free at {move.source}", source.position.free_qty, "On hand less committed, reserved, damaged and backorders."),
        Step(f"Stays at {move.source}", -left, "Needed there, or worth less than a quarter of a sale more here."),
        Step("Recommended quantity", move.qty, f"Arrives in {counted(days, 'day')}, before an order could."),
        Step("If ignored", None, f"{saved:,.1f} sales are lost here in the mean: {ignored}."),
        Step("If accepted", None, f"{move.lost_mean_qty:,.1f} sales are lost at {move.source} in the mean: {given}."),
        Step("Cost of the move", None, "not available: needs a cost per lane; so each unit has to save a quarter of a sale more here."),
    ]


def _sales(qty: float) -> str:
    return "none" if round(qty, 1) == 0 else f"{qty:,.1f}"
