"""Fewer or cheaper shipments than greedy at the same units: which to close is searched by simulated annealing.

Source: Kirkpatrick, Gelatt and Vecchi, Optimization by Simulated Annealing (1983).
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.sourcing_flow import SourcingFlow

if TYPE_CHECKING:
    from forecasting.schema import IntArray
    from inventory.sourcing_problem import SourcingProblem

MOST_MOVES: Final = 40_000
MOST_ARCS: Final = 15_000_000  # looked at in a search: a count and no clock, so that a search repeats itself
WARMEST: Final = 0.5  # temperature at the start, in splits
SHUFFLED_ORDERS: Final = 3  # in a move
LESSER_WEIGHT: Final = 0.1  # of splits against mean shipments' cost, whichever comes second; the answer ranks the first alone first


def fewer_splits(problem: SourcingProblem, answer: IntArray, *, moves_per_order: int = 30, seed: int = 0) -> IntArray:
    """An answer that ships no fewer units of any SKU, has no more splits and, where it ships no more units, costs no more.

    Per SKU, no unit moves to stock of a higher tier or to an order of a later class. Where the problem ranks cost first, the least cost
    is searched for, and splits may be more. The same input gives the same answer.

    Args:
        problem: What could ship from where.
        answer: Where to start from, [pair].
        moves_per_order: After so many, or `MOST_MOVES` in all, the search ends.
        seed: Of the search.
    """
    flow = SourcingFlow(problem, answer)
    if problem.most_shipments is None:
        flow.ship_what_is_left()
    return _Search(problem, flow, seed=seed).run(moves_per_order)


class _Search:
    """Annealing: a move opens all shipments of a split order and its neighbours, and closes what then can be closed."""

    def __init__(self, problem: SourcingProblem, flow: SourcingFlow, *, seed: int) -> None:
        self.flow = flow
        self.order_of: list[int] = problem.shipment_order.tolist()
        self.shipments_of: list[list[int]] = [[] for _ in range(problem.orders_count)]
        for shipment, order in enumerate(self.order_of):
            self.shipments_of[order].append(shipment)
        self.skus_of: list[list[int]] = [[] for _ in range(problem.orders_count)]
        self.orders_of: dict[int, list[int]] = {}
        for order, sku in zip(problem.line_order.tolist(), problem.line_sku.tolist(), strict=True):
            self.skus_of[order].append(sku)
            self.orders_of.setdefault(sku, []).append(order)
        self.most_open = problem.most_shipments or max(map(len, self.shipments_of), default=0)
        self.random = random.Random(seed)  # noqa: S311 - a search, no secret
        self.counts = [sum(flow.is_open[shipment] for shipment in shipments) for shipments in self.shipments_of]
        self.splits = sum(count - 1 for count in self.counts if count)
        self.most_cost = flow.cost
        costs = [cost for cost, is_open in zip(flow.shipment_cost, flow.is_open, strict=True) if is_open]
        self.is_cost_first = problem.is_cost_first
        mean = max(1.0, sum(costs) / max(1, len(costs)))
        self.split_weight, self.cost_weight = (LESSER_WEIGHT, 1.0 / mean) if self.is_cost_first else (1.0, LESSER_WEIGHT / mean)

    def run(self, moves_per_order: int) -> IntArray:
        """The best answer seen."""
        flow = self.flow
        best, best_key = list(flow.units), self._key()
        moves = min(MOST_MOVES, moves_per_order * (len(self.shipments_of) + 5))
        done, arcs = 0, 0
        while done < moves and arcs < MOST_ARCS:
            least = 1 if self.is_cost_first else 2  # a single shipment can only become cheaper
            worth_a_move = [order for order, count in enumerate(self.counts) if count >= least]
            if not worth_a_move:
                break
            for order in self.random.sample(worth_a_move, len(worth_a_move)):
                done, arcs = done + 1, flow.arcs
                cooled = max(done / moves, arcs / MOST_ARCS)
                self._move(order, temperature=max(0.01, WARMEST * (1.0 - cooled)))
                if self._key() < best_key and flow.cost <= self.most_cost:
                    best, best_key = list(flow.units), self._key()
        return np.array(best, dtype=np.int64)

    def _key(self) -> tuple[int, int]:
        return (self.flow.cost, self.splits) if self.is_cost_first else (self.splits, self.flow.cost)

    def _move(self, order: int, *, temperature: float) -> None:
        flow, chosen = self.flow, self._neighbours(order)
        flow.log.clear()
        was = [(shipment, flow.is_open[shipment]) for one in chosen for shipment in self.shipments_of[one]]
        cost_before, counts_before = flow.cost, {one: self.counts[one] for one in chosen}
        flow.open([shipment for shipment, _ in was])
        counts = {one: len(self.shipments_of[one]) for one in chosen}
        for shipment, _ in self.random.sample(was, len(was)):
            one = self.order_of[shipment]
            if counts[one] > 1 and flow.close(shipment):
                counts[one] -= 1
        fewer = sum(max(0, count - 1) for count in counts_before.values()) - sum(counts.values()) + len(counts)
        worse = (flow.cost - cost_before) * self.cost_weight - fewer * self.split_weight
        if (
            max(counts.values()) > self.most_open
            or (flow.cost > self.most_cost and flow.cost > cost_before)
            or (worse > 0 and self.random.random() >= math.exp(-worse / temperature))
        ):
            flow.undo(0)
            for shipment, is_open in was:
                flow.restore(shipment, is_open=is_open)
            return
        for one, count in counts.items():
            self.counts[one] = count
        self.splits -= fewer

    def _neighbours(self, order: int) -> list[int]:
        """The order; one that is served from a place where it ships, with an item it gets from elsewhere; one that wants an item of it."""
        chosen = [order]
        if rivals := self._rivals(order):
            chosen.append(self.random.choice(rivals))
        while len(chosen) < SHUFFLED_ORDERS:
            one = self.random.choice(self.orders_of[self.random.choice(self.skus_of[order])])
            if one in chosen or not self.shipments_of[one]:
                break
            chosen.append(one)
        return chosen

    def _rivals(self, order: int) -> list[int]:
        """Orders that hold the stock with which one of this order's shipments could bring what another one of them brings."""
        flow = self.flow
        here = [shipment for shipment in self.shipments_of[order] if flow.is_open[shipment]]
        if len(here) < 2:
            return []
        kept, dropped = self.random.sample(here, 2)
        at_kept = {flow.stock_sku[flow.stock[pair]]: flow.stock[pair] for pair in flow.pairs_of_shipment[kept]}
        wanted = (flow.stock_sku[flow.stock[pair]] for pair in flow.pairs_of_shipment[dropped] if flow.units[pair])
        return [
            self.order_of[shipment]
            for sku in wanted
            if sku in at_kept
            for pair, _, shipment in flow.ways_of_stock[at_kept[sku]]
            if flow.units[pair] and self.order_of[shipment] != order
        ]
