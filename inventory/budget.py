"""A budget goes to the units that are worth most for the money, with proof of how much better any other choice could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray

ROUNDING: Final = 1e-9  # of money: sums of amounts are not exact


@dataclass(frozen=True, slots=True)
class BudgetCut:
    """What a budget buys.

    Attributes:
        taken: [block] whether it is bought.
        cost: What the blocks bought cost together.
        value: What they are worth together.
        bound: No choice within the budget is worth more: the optimum of the linear relaxation, in which blocks can be bought in part.
        value_per_money: What the next unit of budget would bring; 0 where everything worth its money is bought.
    """

    taken: BoolArray
    cost: float
    value: float
    bound: float
    value_per_money: float


def cap_by_budget(item: IntArray, cost: FloatArray, value: FloatArray, *, budget: float) -> BudgetCut:
    """The blocks of units that a budget buys: those of the highest value per money first, each item's in their order.

    An item's order is cut into blocks: the smallest order, then pack after pack. Blocks of one item stand side by side in the order in
    which they have to be bought, and a later one is bought only with all before it. Where a later block is worth more for its money
    than the one before, the two are weighed together. What is worth nothing or less is left. A block that does not fit any more is
    passed over with all that follow it on its item, and the next best item may still fit.

    Source: Dantzig (1957), Discrete-variable extremum problems, Operations Research 5: greedy by value per money is the optimum of the
    relaxed knapsack; Sinha and Zoltners (1979), The multiple-choice knapsack problem, Operations Research 27, for blocks in an order.

    Args:
        item: [block] number of the item, blocks of one item adjacent.
        cost: [block] money, above 0, in one currency.
        value: [block] money that buying it is expected to bring, after the cost of holding it.
        budget: Money in the same currency.

    Raises:
        ValueError: The arrays differ in length, a cost is not above 0, a value is not finite, or the budget is below 0.
    """
    _check(item, cost, value, budget)
    first, last = _weighed_together(item, cost, value)
    if not len(first):
        return BudgetCut(np.zeros(len(item), dtype=np.bool_), 0.0, 0.0, 0.0, 0.0)
    spent, worth = np.concatenate([[0.0], np.cumsum(cost)]), np.concatenate([[0.0], np.cumsum(value)])
    costs, values = spent[last] - spent[first], worth[last] - worth[first]
    ratio = values / costs
    order = np.lexsort((first, -ratio))
    order = order[ratio[order] > 0]
    taken = np.zeros(len(item), dtype=np.bool_)
    closed: set[int] = set()
    left = budget
    for group in order.tolist():
        if int(item[first[group]]) in closed:
            continue
        within = slice(int(first[group]), int(last[group]))
        fits = int((np.cumsum(cost[within]) <= left * (1 + ROUNDING)).sum())
        # of a group that fits in part only what pays without the rest
        best = int(np.argmax(np.concatenate([[0.0], np.cumsum(value[within][:fits])])))
        bought = slice(within.start, within.start + best)
        taken[bought] = True
        left -= float(cost[bought].sum())
        if bought != within:
            closed.add(int(item[within.start]))
    bound, price = _relaxed(costs[order], values[order], budget)
    return BudgetCut(taken, float(cost[taken].sum()), float(value[taken].sum()), bound, price)


def _check(item: IntArray, cost: FloatArray, value: FloatArray, budget: float) -> None:
    if not len(item) == len(cost) == len(value):
        raise ValueError(f"item, cost, value: have to be of one length, got {len(item)}, {len(cost)} and {len(value)}.")
    if not (np.isfinite(cost) & (cost > 0)).all():
        raise ValueError("cost: has to be above 0 for every block; leave out what costs nothing, it needs no budget.")
    if not np.isfinite(value).all():
        raise ValueError("value: has to be finite for every block; leave out items whose value is not known.")
    if not budget >= 0:
        raise ValueError(f"budget: cannot be {budget}; it is an amount of money of 0 or more.")


def _weighed_together(item: IntArray, cost: FloatArray, value: FloatArray) -> tuple[IntArray, IntArray]:
    """Groups of adjacent blocks [first, last) whose value per money falls from group to group of an item (upper concave hull)."""
    starts: list[int] = []
    sums: list[tuple[float, float]] = []
    for block, (own_cost, own_value) in enumerate(zip(cost.tolist(), value.tolist(), strict=True)):
        start, total = block, (own_cost, own_value)
        while starts and item[starts[-1]] == item[block] and sums[-1][1] * total[0] < total[1] * sums[-1][0]:
            start, before = starts.pop(), sums.pop()
            total = (before[0] + total[0], before[1] + total[1])
        starts.append(start)
        sums.append(total)
    first = np.array(starts, dtype=np.int64)
    return first, np.append(first[1:], len(item)).astype(np.int64) if len(first) else first


def _relaxed(costs: FloatArray, values: FloatArray, budget: float) -> tuple[float, float]:
    """Worth of the groups, best first, if the last could be bought in part; and what one more unit of money would bring."""
    spent = np.cumsum(costs)
    whole = int((spent <= budget * (1 + ROUNDING)).sum())
    if whole == len(costs):
        return float(values.sum()), 0.0
    left = budget - (float(spent[whole - 1]) if whole else 0.0)
    price = float(values[whole] / costs[whole])
    return float(values[:whole].sum()) + max(0.0, left) * price, price
