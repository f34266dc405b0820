"""Orders within a budget: what each pack is worth for its money, the best first, with the bound of the linear program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

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

    The worth of a quantity is the expected cost it saves, concave in the quantity; packs are bought by worth per money until the
    budget ends, then those that still fit. Without indivisible packs that is the optimum of the linear program, so its value
    with the last pack cut to fit bounds what any choice can save.

    Source: Dantzig (1957), Discrete-variable extremum problems, Operations Research 5, section on the knapsack problem.

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
        saved = _saved(ends[part], need[rows], ratio[rows]) - _saved(starts[part], need[rows], ratio[rows])
        worth[part] = shortage_cost[rows] / np.maximum(ratio[rows], ROUNDING) * saved
    cost = (ends - starts) * unit_cost[series]
    density = np.divide(worth, cost, out=np.full_like(worth, np.inf), where=cost > 0)
    # rounding must not put a step before the one it stands on
    density = pl.DataFrame({"row": series, "worth": density}).select(pl.col("worth").cum_min().over("row"))["worth"].to_numpy()
    # a floor under the fill rate may ask for packs that save less than they cost: last, in the order of their steps
    order = np.lexsort((ends, series, -density))
    bought, left, value, bound = np.zeros_like(quantity), budget, 0.0, -1.0
    closed: set[int] = set()
    for step in order.tolist():
        row = int(series[step])
        if cost[step] > left + ROUNDING and bound < 0:
            bound = value + max(worth[step], 0.0) * max(left, 0.0) / cost[step]
        if row in closed or cost[step] > left + ROUNDING or bought[row] != starts[step]:
            closed.add(row)
            continue
        bought[row], left, value = ends[step], left - cost[step], value + worth[step]
    return bought, Spending(budget, wanted, float(budget - left), float(value), float(max(bound, value)))


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


def _saved(quantity: FloatArray, need: FloatArray, ratio: FloatArray) -> FloatArray:
    """Expected loss without an order less that with it, in units of the loss whose least is at the ratio's quantile."""
    short = need - quantity[:, None]
    with_order = np.maximum(ratio[:, None] * short, (ratio[:, None] - 1.0) * short).mean(axis=1)
    result: FloatArray = ratio * need.mean(axis=1) - with_order
    return result
