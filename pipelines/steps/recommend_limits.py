"""Orders of one run held to what they share: each supplier's minimum, and the budget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from inventory.explain_targets import Step
from inventory.limits import cut_to_budget, top_up
from inventory.reorder_decision import NoOrder, Reorder
from pipelines.steps.recommend_wording import money_words
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.schema import RoundedOrder
    from pipelines.settings import Settings
    from pipelines.steps.recommend_planning import ItemPlan, Planner
    from pipelines.steps.recommend_policies import Item


@dataclass(frozen=True, slots=True)
class Limits:
    """Quantities that are decided by what orders share, and what is to be said about it, by sku and location."""

    orders: dict[Item, RoundedOrder] = field(default_factory=dict)
    notes: dict[Item, list[Step]] = field(default_factory=dict)

    def note(self, key: Item, step: Step) -> None:
        """One step more is said about the item."""
        self.notes.setdefault(key, []).append(step)


def hold_to_limits(
    plans: Sequence[ItemPlan], planner: Planner, *, settings: Settings, currency_code: str
) -> tuple[list[ItemPlan], Mapping[Item, list[Step]]]:
    """The plans with orders raised to their supplier's minimum and cut to the rules' budgets and the setting's, and what is said about it.

    Orders whose quantity changes are reckoned anew on the same simulated courses.

    Args:
        plans: Of all items.
        planner: That made them.
        settings: For the budget, in the reporting currency.
        currency_code: The reporting currency. Orders in another one stand outside the budget, and say so.
    """
    limits = Limits()
    _reach_minimums(plans, limits)
    settled = _settled(plans, planner, limits)
    for rule in sorted({plan.policy.budget_rule for plan in settled if plan.policy.budget_rule is not None}):
        limits.orders.clear()
        own = [plan for plan in settled if plan.policy.budget_rule == rule]
        amount, currency = own[0].policy.budget_amount, own[0].policy.budget_currency_code
        _keep_to_budget(own, limits, budget=amount or 0.0, currency_code=currency or "", rule=rule)
        settled = _settled(settled, planner, limits)
    if settings.budget_amount is None:
        return settled, limits.notes
    limits.orders.clear()
    _keep_to_budget(settled, limits, budget=settings.budget_amount, currency_code=currency_code)
    return _settled(settled, planner, limits), limits.notes


def _settled(plans: Sequence[ItemPlan], planner: Planner, limits: Limits) -> list[ItemPlan]:
    anew = [plan.item for plan in plans if (order := limits.orders.get(plan.key)) is not None and order.qty > 0]
    again = {plan.key: plan.decision for plan in planner.plan(anew, limits.orders)} if anew else {}
    return [replace(plan, decision=_decision(plan, again, limits)) if plan.key in limits.orders else plan for plan in plans]


def _decision(plan: ItemPlan, again: Mapping[Item, Reorder | NoOrder], limits: Limits) -> Reorder | NoOrder:
    if limits.orders[plan.key].qty > 0 or isinstance(plan.decision, NoOrder):
        return again[plan.key]
    return NoOrder("budget", plan.decision.run_out.days, "The budget goes to orders that save more for their money.")


def _reach_minimums(plans: Sequence[ItemPlan], limits: Limits) -> None:
    groups: dict[tuple[str, str, str], list[tuple[ItemPlan, Reorder]]] = {}
    for plan in plans:
        if isinstance(plan.decision, Reorder) and plan.item["order_minimum_amount"]:
            group = (plan.item["supplier_id"], plan.item["location_id"], plan.item["currency_code"])
            groups.setdefault(group, []).append((plan, plan.decision))
    for (supplier, _, currency), members in groups.items():
        topping = top_up([reorder for _, reorder in members], minimum_amount=members[0][0].item["order_minimum_amount"])
        minimum = money_words(topping.minimum_amount, currency)
        for place, order in topping.orders.items():
            plan, reorder = members[place]
            limits.orders[plan.key] = order
            more = f"{order.qty - reorder.rounded.qty} more than needed now"
            limits.note(plan.key, Step("Supplier's minimum", None, f"{more}, so that the order to {supplier} reaches {minimum}."))
        if topping.gap_amount:
            gap = f"Orders to {supplier} are {money_words(topping.gap_amount, currency)} below its minimum of {minimum}"
            for plan, _ in members:
                limits.note(plan.key, Step("Supplier's minimum", None, f"{gap}, and no units are worth buying early to reach it."))


def _keep_to_budget(plans: Sequence[ItemPlan], limits: Limits, *, budget: float, currency_code: str, rule: str | None = None) -> None:
    whose = "" if rule is None else f" of rule {rule}"
    ordered = [(plan, plan.decision) for plan in plans if isinstance(plan.decision, Reorder)]
    members = [(plan, reorder) for plan, reorder in ordered if plan.item["currency_code"] == currency_code]
    amount = budget * 10 ** MINOR_UNIT_EXPONENTS.get(currency_code, 2)
    orders, cut = cut_to_budget([reorder for _, reorder in members], budget_amount=amount)
    words = money_words(amount, currency_code)
    for place, order in orders.items():
        plan, reorder = members[place]
        limits.orders[plan.key] = order
        if order.qty and cut is not None:
            more = f"one more {currency_code} would save {cut.value_per_money:.2f}" if cut.value_per_money else "more would save nothing"
            limits.note(
                plan.key, Step("Budget", None, f"{order.qty} of {reorder.rounded.qty} within the budget{whose} of {words}; {more}.")
            )
    for plan, _ in ordered:
        if plan.item["currency_code"] != currency_code:
            limits.note(plan.key, Step("Budget", None, f"Not counted: the budget{whose} is in {currency_code}."))
