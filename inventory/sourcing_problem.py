"""Open order lines and the stock they can ship from as arrays; the greedy answer, and how good an answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import IntArray


@dataclass(frozen=True, slots=True)
class SourcingProblem:
    """Which stock each order line could ship from. An answer is whole units per pair of a line and a stock row: [pair].

    Orders are numbered in the order in which greedy serves them. A shipment is an order and a location; pairs of one
    shipment follow each other. A pair exists only where the rules allow it and its cost is known.

    Attributes:
        line_order, line_sku, line_qty, line_class: [line]; the class is the rank of the order's priority, 0 is served first.
        stock_qty: [stock] whole units above 0.
        pair_line, pair_stock, pair_shipment, pair_tier, pair_cost: [pair]; stock of the lowest tier is used first, cost
            in minor units per unit.
        shipment_order, shipment_cost: [shipment].
        most_shipments: Most shipments of one order; None is no limit.
        is_cost_first: Least cost is ranked before fewest splits.
    """

    line_order: IntArray
    line_sku: IntArray
    line_qty: IntArray
    line_class: IntArray
    stock_qty: IntArray
    pair_line: IntArray
    pair_stock: IntArray
    pair_shipment: IntArray
    pair_tier: IntArray
    pair_cost: IntArray
    shipment_order: IntArray
    shipment_cost: IntArray
    most_shipments: int | None = None
    is_cost_first: bool = False

    @property
    def orders_count(self) -> int:
        """Orders with a line."""
        return int(self.line_order[-1]) + 1 if len(self.line_order) else 0

    def shipments(self, qty: IntArray) -> IntArray:
        """The shipments of an answer that hold a unit."""
        used: IntArray = np.unique(self.pair_shipment[qty > 0])
        return used

    def shipments_of_orders(self, qty: IntArray) -> IntArray:
        """How many shipments each order has: [order]."""
        counts: IntArray = np.bincount(self.shipment_order[self.shipments(qty)], minlength=self.orders_count)
        return counts


@dataclass(frozen=True, slots=True)
class Score:
    """How good an answer is: units shipped, shipments, shipments beyond one per order, and their cost in minor units."""

    units: int
    shipments: int
    splits: int
    cost: int

    @property
    def key(self) -> tuple[int, int, int]:
        """Lower is better: units first, then splits, then cost."""
        return -self.units, self.splits, self.cost


def score(problem: SourcingProblem, qty: IntArray) -> Score:
    """The score of an answer."""
    used = problem.shipments(qty)
    return Score(
        units=int(qty.sum()),
        shipments=len(used),
        splits=len(used) - len(np.unique(problem.shipment_order[used])),
        cost=int(problem.shipment_cost[used].sum() + (qty * problem.pair_cost).sum()),
    )


def greedy_answer(problem: SourcingProblem) -> IntArray:
    """Serves order after order: each time from the location that covers most of its open lines, until none covers a unit.

    Locations of a lower tier go first. Equal lines are decided by units, then by cost, then by location. Where the number of shipments
    is limited, the tier counts only between locations that cover the same.
    """
    left_stock, left_line = problem.stock_qty.tolist(), problem.line_qty.tolist()
    pair_line, pair_stock, pair_cost = problem.pair_line.tolist(), problem.pair_stock.tolist(), problem.pair_cost.tolist()
    tiers, costs, owners = problem.pair_tier.tolist(), problem.shipment_cost.tolist(), problem.shipment_order.tolist()
    bounds = np.searchsorted(problem.pair_shipment, np.arange(len(costs) + 1)).tolist()
    shipments: list[list[int]] = [[] for _ in range(problem.orders_count)]
    for shipment, order in enumerate(owners):
        shipments[order].append(shipment)
    answer = [0] * len(pair_line)
    is_limited = problem.most_shipments is not None

    def rank(shipment: int) -> tuple[int, int, int, int, int, int]:
        lines, units, cost = 0, 0, costs[shipment]
        for pair in range(bounds[shipment], bounds[shipment + 1]):
            wanted = left_line[pair_line[pair]]
            taken = min(wanted, left_stock[pair_stock[pair]])
            lines += wanted > 0 and taken == wanted
            units += taken
            cost += taken * pair_cost[pair]
        tier = tiers[bounds[shipment]]
        return (0 if is_limited else tier) if units else 1 << 30, -lines, -units, tier, cost, shipment

    for open_shipments in shipments:
        for _ in range(problem.most_shipments if problem.most_shipments is not None else len(open_shipments)):
            best = min((rank(shipment) for shipment in open_shipments), default=None)
            if best is None or not best[2]:
                break
            for pair in range(bounds[best[5]], bounds[best[5] + 1]):
                answer[pair] = min(left_line[pair_line[pair]], left_stock[pair_stock[pair]])
                left_line[pair_line[pair]] -= answer[pair]
                left_stock[pair_stock[pair]] -= answer[pair]
    return np.array(answer, dtype=np.int64)
