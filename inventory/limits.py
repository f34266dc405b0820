"""Orders that share money: a supplier's minimum to reach, and a budget to keep to."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.budget import cap_by_budget
from inventory.schema import RoundedOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.schema import FloatArray, IntArray
    from inventory.budget import BudgetCut
    from inventory.reorder_decision import Reorder

LONGEST_COVER_DAYS: Final = 56  # beyond what it replaces, that a unit bought early may lie
UNKNOWN_MARGIN: Final = 1e-6  # of a unit's cost: what has no known margin is bought last


@dataclass(frozen=True, slots=True)
class Topping:
    """What a supplier's order lacks to its minimum, in minor units; and the larger orders that reach it, by place, if any do."""

    total_amount: int
    minimum_amount: int
    orders: dict[int, RoundedOrder]

    @property
    def gap_amount(self) -> int:
        """What is missing still."""
        return 0 if self.orders else max(0, self.minimum_amount - self.total_amount)


def top_up(reorders: Sequence[Reorder], *, minimum_amount: int) -> Topping:
    """The orders of one supplier raised, pack by pack, until they reach its minimum; those packs first that pay most for their money.

    A pack more is worth the margin it may save before the next order arrives, less holding it until it is sold. None is added that
    would lie for more than eight weeks beyond the units it stands behind, that the supplier does not sell or that would expire; if the
    minimum cannot be reached so, nothing is raised and the gap is said.

    Args:
        reorders: Orders to one supplier, in one currency.
        minimum_amount: Least that they have to amount to together, in minor units.
    """
    total = sum(one.rounded.qty * one.terms.unit_cost_amount for one in reorders)
    qty = [one.rounded.qty for one in reorders]
    amount = total
    heap = [entry for place, one in enumerate(reorders) if (entry := _next_pack(one, qty[place], place)) is not None]
    heapq.heapify(heap)
    while amount < minimum_amount and heap:
        _, place = heapq.heappop(heap)
        terms = reorders[place].terms
        qty[place] += terms.order_multiple
        amount += terms.order_multiple * terms.unit_cost_amount
        if (entry := _next_pack(reorders[place], qty[place], place)) is not None:
            heapq.heappush(heap, entry)
    if total >= minimum_amount or amount < minimum_amount:
        return Topping(total, minimum_amount, {})
    raised = {
        place: RoundedOrder(qty[place], one.rounded.smallest_qty, "supplier_minimum")
        for place, one in enumerate(reorders)
        if qty[place] > one.rounded.qty
    }
    return Topping(total, minimum_amount, raised)


def cut_to_budget(reorders: Sequence[Reorder], *, budget_amount: float) -> tuple[dict[int, RoundedOrder], BudgetCut | None]:
    """The orders that a budget cuts, by place, each with what it still buys (0: nothing); and the cut with its certificate.

    Where the orders are within the budget nothing is cut. Otherwise they compete block by block: the smallest order, then pack after
    pack, each worth the margin it is expected to save less holding it (`inventory.budget.cap_by_budget`).

    Args:
        reorders: Orders in one currency.
        budget_amount: Most that they may amount to together, in minor units.
    """
    if sum(one.rounded.qty * one.terms.unit_cost_amount for one in reorders) <= budget_amount:
        return {}, None
    sized = [(place, _blocks(one)) for place, one in enumerate(reorders) if one.terms.unit_cost_amount > 0]
    item = np.concatenate([np.full(len(ends) - 1, place) for place, ends in sized]).astype(np.int64)
    size = np.concatenate([np.diff(ends) for _, ends in sized])
    value = np.concatenate([_worth(reorders[place], ends) for place, ends in sized])
    cost = size * np.array([one.terms.unit_cost_amount for one in reorders], dtype=np.float64)[item]
    cut = cap_by_budget(item, cost, value, budget=budget_amount)
    bought = np.bincount(item[cut.taken], weights=size[cut.taken], minlength=len(reorders)).astype(np.int64)
    priced = {place for place, _ in sized}
    orders = {
        place: RoundedOrder(int(bought[place]), one.rounded.smallest_qty, "budget")
        for place, one in enumerate(reorders)
        if place in priced and bought[place] < one.rounded.qty
    }
    return orders, cut


def _next_pack(reorder: Reorder, qty: int, place: int) -> tuple[float, int] | None:
    """Minus the worth of one pack more per money, for a heap; None where there may be none."""
    terms, after = reorder.terms, qty + reorder.terms.order_multiple
    limits = [limit for limit in (terms.max_order_qty, reorder.most_sold_fresh_qty) if limit is not None]
    rate = reorder.protection.daily_mean_qty
    if any(after > limit for limit in limits) or rate <= 0 or (after - reorder.rounded.qty) / rate > LONGEST_COVER_DAYS:
        return None
    if terms.unit_cost_amount == 0:
        return None
    return -float(_worth(reorder, np.array([qty, after]))[0]) / (terms.order_multiple * terms.unit_cost_amount), place


def _blocks(reorder: Reorder) -> IntArray:
    """Quantities at which the order could stop: 0, the smallest order, then pack after pack up to the order."""
    first = min(reorder.rounded.smallest_qty, reorder.rounded.qty)
    steps = np.arange(first, reorder.rounded.qty, reorder.terms.order_multiple)
    ends: IntArray = np.concatenate([[0], steps, [reorder.rounded.qty]]).astype(np.int64)
    return ends


def _worth(reorder: Reorder, ends: IntArray) -> FloatArray:
    """Margin that each block is expected to save, less holding it until it is sold, [block], in minor units."""
    unit, rate = reorder.money.shortage_amount, max(reorder.protection.daily_mean_qty, 1e-9)
    saved: FloatArray = np.diff(np.minimum(reorder.need[:, None], ends).mean(axis=0))
    held_days = (ends[1:] + ends[:-1]) / 2.0 / rate
    if unit is None:
        saved *= UNKNOWN_MARGIN * reorder.terms.unit_cost_amount
        return saved
    worth: FloatArray = saved * unit - np.diff(ends) * held_days * reorder.money.holding_amount
    return worth
