"""Orders within a budget: what each pack is worth for its money, the best first, with the bound of the linear program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.budget import cap_by_budget
from inventory.rounding import expected_loss

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray

MOST_STEPS: Final = 50  # per order; larger orders are bought in blocks of packs
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Spending:
    """How far a budget went.

    Attributes:
        budget_amount: What could be spent.
        wanted_amount: What all orders together would have cost.
        spent_amount: What those within the budget cost.
        value: Expected cost that they save, in the policy's costs.
        value_bound: No choice of parts of these orders saves more: the optimum of the linear program.
    """

    budget_amount: float
    wanted_amount: float
    spent_amount: float
    value: float
    value_bound: float

    @property
    def gap_rate(self) -> float:
        """Share of the bound that is missed at most."""
        return (self.value_bound - self.value) / self.value_bound if self.value_bound > 0 else 0.0


def spend(
    quantity: FloatArray,
    need: FloatArray,
    ratio: FloatArray,
    *,
    shortage_cost: FloatArray,
    smallest: FloatArray,
    pack: FloatArray,
    unit_cost: FloatArray,
    budget: float,
) -> tuple[FloatArray, Spending]:
    """Quantities within the budget, each whole packs and nothing or the smallest order at least.

    The worth of a quantity is the expected cost it saves, concave in the quantity; `inventory.budget.cap_by_budget` buys its packs
    by worth per money, with the optimum of the linear relaxation as the bound.

    Args:
        quantity: [series]; what would be ordered.
        need: [series, path], rising along a series.
        ratio: [series]; the quantile that was taken.
        shortage_cost: [series]; per unit.
        smallest: [series]; least order.
        pack: [series]; units.
        unit_cost: [series]; money per unit, of the series that are ordered.
        budget: Money.
    """
    wanted = float((quantity * np.where(quantity > 0, unit_cost, 0.0)).sum())
    series, ends, starts = _steps(quantity, smallest, pack)
    worth = np.zeros(len(series))
    for start in range(0, len(series), 20_000):
        part = slice(start, start + 20_000)
        rows = series[part]
        saved = expected_loss(starts[part], need[rows], ratio[rows]) - expected_loss(ends[part], need[rows], ratio[rows])
        worth[part] = shortage_cost[rows] / np.maximum(ratio[rows], ROUNDING) * saved
    cost = (ends - starts) * unit_cost[series]
    priced = np.flatnonzero(cost > 0)
    cut = cap_by_budget(series[priced], cost[priced], worth[priced], budget=budget)
    taken = cost <= 0  # what costs nothing needs no budget
    taken[priced[cut.taken]] = True
    # a floor under the fill rate may ask for packs that save less than they cost: last, those that lose least first
    is_open = ~np.isin(series, series[~taken & (worth > 0)])
    last = np.flatnonzero(~taken & is_open)
    if len(last):
        density = worth[last] / cost[last]
        rest = cap_by_budget(series[last], cost[last], cost[last] * (density - density.min() + 1.0), budget=max(0.0, budget - cut.cost))
        taken[last[rest.taken]] = True
    bought = np.bincount(series[taken], weights=(ends - starts)[taken], minlength=len(quantity)).astype(np.float64)
    free = float(np.maximum(worth[cost <= 0], 0.0).sum())
    spent, value = float(cost[taken].sum()), float(worth[taken].sum())
    return bought, Spending(budget, wanted, spent, value, max(cut.bound + free, value))


def _steps(quantity: FloatArray, smallest: FloatArray, pack: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Series, end and start of every step from nothing to each quantity: the smallest order, then packs or blocks of them."""
    series, ends, starts = [], [], []
    for row in np.flatnonzero(quantity > 0).tolist():
        first = min(float(smallest[row]), float(quantity[row]))
        packs = round((quantity[row] - first) / pack[row])
        block = max(1, -(-packs // MOST_STEPS))
        levels = np.append(first + np.arange(0, packs, block) * pack[row], quantity[row]) if packs else np.array([first])
        ends.append(levels)
        starts.append(np.append(0.0, levels[:-1]))
        series.append(np.full(len(levels), row))
    if not series:
        return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
    return np.concatenate(series), np.concatenate(ends), np.concatenate(starts)
