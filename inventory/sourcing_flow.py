"""The flow of units from stock to order lines: a shipment can be closed where each of its units finds another way.

Such a way leads from stock that is left, over any number of orders that already have a shipment from there, to a line that still
wants the unit: an augmenting path in the flow of one SKU. So a closed shipment never costs a unit.

Source: Ahuja, Magnanti and Orlin, Network Flows (1993), section 6.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import IntArray
    from inventory.sourcing_problem import SourcingProblem


class SourcingFlow:
    """An answer that changes, and which shipments are open to it. Lists, since it is walked a way at a time."""

    def __init__(self, problem: SourcingProblem, answer: IntArray) -> None:
        self.units: list[int] = answer.tolist()
        self.line: list[int] = problem.pair_line.tolist()
        self.stock: list[int] = problem.pair_stock.tolist()
        self.shipment: list[int] = problem.pair_shipment.tolist()
        self.pair_cost: list[int] = problem.pair_cost.tolist()
        self.shipment_cost: list[int] = problem.shipment_cost.tolist()
        self.free: list[int] = (problem.stock_qty - _summed(problem.pair_stock, answer, len(problem.stock_qty))).tolist()
        self.wanted: list[int] = (problem.line_qty - _summed(problem.pair_line, answer, len(problem.line_qty))).tolist()
        self.line_class: list[int] = problem.line_class.tolist()
        self.line_sku: list[int] = problem.line_sku.tolist()
        self.wanted_of_sku = dict.fromkeys(self.line_sku, 0)
        for sku, units in zip(self.line_sku, self.wanted, strict=True):
            self.wanted_of_sku[sku] += units
        stock_sku, stock_tier = np.zeros(len(self.free), dtype=np.int64), np.zeros(len(self.free), dtype=np.int64)
        stock_sku[problem.pair_stock] = problem.line_sku[problem.pair_line]
        stock_tier[problem.pair_stock] = problem.pair_tier
        self.stock_sku: list[int] = stock_sku.tolist()
        self.stock_tier: list[int] = stock_tier.tolist()
        self.stocks_of_sku: dict[int, list[int]] = {}
        for stock, sku in enumerate(self.stock_sku):
            self.stocks_of_sku.setdefault(sku, []).append(stock)
        self.pairs_of_line: list[list[int]] = [[] for _ in self.wanted]
        self.pairs_of_shipment: list[list[int]] = [[] for _ in self.shipment_cost]
        self.ways_of_stock: list[list[tuple[int, int, int]]] = [[] for _ in self.free]
        for pair, (line, stock, shipment) in enumerate(zip(self.line, self.stock, self.shipment, strict=True)):
            self.pairs_of_line[line].append(pair)
            self.pairs_of_shipment[shipment].append(pair)
            self.ways_of_stock[stock].append((pair, line, shipment))
        self.is_open: list[bool] = np.isin(np.arange(len(self.shipment_cost)), problem.shipments(answer)).tolist()
        self.cost = sum(cost for cost, is_open in zip(self.shipment_cost, self.is_open, strict=True) if is_open)
        self.cost += sum(units * cost for units, cost in zip(self.units, self.pair_cost, strict=True))
        self.log: list[tuple[int, int]] = []
        self.arcs = 0

    def ship_what_is_left(self) -> None:
        """Every SKU ships as many units as any answer could, earlier classes first."""
        was_open = self.is_open
        self.is_open = [True] * len(was_open)
        classes: dict[int, set[int]] = {}
        for line, units in enumerate(self.wanted):
            if units:
                classes.setdefault(self.line_sku[line], set()).add(self.line_class[line])
        for sku in classes.keys() & self.stocks_of_sku.keys():
            for line_class in sorted(classes[sku]):
                while self._reroute(sku, most=1 << 60, tier=1 << 60, line_class=line_class):
                    pass
        self.is_open = was_open
        self.open(sorted({self.shipment[pair] for pair, units in enumerate(self.units) if units}))
        self.log.clear()

    def open(self, shipments: list[int]) -> None:
        """Units may take these shipments."""
        for shipment in shipments:
            if not self.is_open[shipment]:
                self.is_open[shipment] = True
                self.cost += self.shipment_cost[shipment]

    def close(self, shipment: int) -> bool:
        """The shipment's units take other ways; False, and nothing changed, where one of them has none."""
        mark = len(self.log)
        self.is_open[shipment] = False
        for pair in self.pairs_of_shipment[shipment]:
            units = self.units[pair]
            if not units:
                continue
            self._push(pair, -units)
            while units:
                moved = self._reroute_from(pair, most=units)
                if not moved:
                    self.undo(mark)
                    self.is_open[shipment] = True
                    return False
                units -= moved
        self.cost -= self.shipment_cost[shipment]
        return True

    def undo(self, mark: int) -> None:
        """Units flow as they did when the log was `mark` long."""
        log = self.log[mark:]
        for pair, units in reversed(log):
            self._push(pair, -units)
        del self.log[mark:]

    def restore(self, shipment: int, *, is_open: bool) -> None:
        """The shipment is open or closed as before; the caller has undone the flow."""
        if self.is_open[shipment] is not is_open:
            self.is_open[shipment] = is_open
            self.cost += self.shipment_cost[shipment] if is_open else -self.shipment_cost[shipment]

    def _push(self, pair: int, units: int) -> None:
        self.units[pair] += units
        self.free[self.stock[pair]] -= units
        line = self.line[pair]
        self.wanted[line] -= units
        self.wanted_of_sku[self.line_sku[line]] -= units
        self.cost += units * self.pair_cost[pair]
        self.log.append((pair, units))

    def _reroute_from(self, pair: int, *, most: int) -> int:
        """Units that another way takes in the place of those that this pair lost; 0 if there is none."""
        line, tier = self.line[pair], self.stock_tier[self.stock[pair]]
        sku = self.line_sku[line]
        if self.wanted_of_sku[sku] == self.wanted[line]:  # nobody else wants one: the shorter search is the one from the line
            return self._bring(line, most=most, tier=tier)
        return self._reroute(sku, most=most, tier=tier, line_class=self.line_class[line])

    def _bring(self, wanting: int, *, most: int, tier: int) -> int:
        """Units sent to this line from free stock of at most this tier, over orders in between; 0 if there is no way."""
        units, stock_of, shipment_of, is_open = self.units, self.stock, self.shipment, self.is_open
        reached = [wanting]
        came: dict[int, tuple[int, int] | None] = {wanting: None}
        seen: set[int] = set()
        for line in reached:  # grows while it is walked
            for pair in self.pairs_of_line[line]:
                stock = stock_of[pair]
                if stock in seen or not is_open[shipment_of[pair]]:
                    continue
                if self.free[stock] > 0 and self.stock_tier[stock] <= tier:
                    return self._fetch(pair, line, came, most=min(most, self.free[stock]))
                seen.add(stock)
                self.arcs += len(self.ways_of_stock[stock])
                for other, served, _ in self.ways_of_stock[stock]:
                    if units[other] > 0 and served not in came:
                        came[served] = (pair, other)
                        reached.append(served)
        return 0

    def _fetch(self, first: int, line: int, came: dict[int, tuple[int, int] | None], *, most: int) -> int:
        """As many units as fit take the way that begins with this pair and ends at the line that wants them."""
        gains, losses = [first], list[int]()
        while (step := came[line]) is not None:
            gains.append(step[0])
            losses.append(step[1])
            line = self.line[step[0]]
        return self._shift(gains, losses, most=most)

    def _reroute(self, sku: int, *, most: int, tier: int, line_class: int) -> int:
        """Units sent from free stock of at most this tier to a line of at most this class, over orders in between; 0 if there is no way."""
        free, flow, stock_of, is_open = self.free, self.units, self.stock, self.is_open
        reached = [stock for stock in self.stocks_of_sku[sku] if free[stock] > 0 and self.stock_tier[stock] <= tier]
        came: dict[int, tuple[int, int] | None] = dict.fromkeys(reached)
        seen: set[int] = set()
        for stock in reached:  # grows while it is walked
            self.arcs += len(self.ways_of_stock[stock])
            for pair, line, shipment in self.ways_of_stock[stock]:
                if not is_open[shipment] or line in seen:
                    continue
                if self.wanted[line] > 0 and self.line_class[line] <= line_class:
                    return self._send(pair, came, most=min(most, self.wanted[line]))
                seen.add(line)
                for other in self.pairs_of_line[line]:
                    if flow[other] > 0 and stock_of[other] not in came:
                        came[stock_of[other]] = (pair, other)
                        reached.append(stock_of[other])
        return 0

    def _send(self, last: int, came: dict[int, tuple[int, int] | None], *, most: int) -> int:
        """As many units as fit take the way that ends in this pair."""
        gains, losses, stock = [last], list[int](), self.stock[last]
        while (step := came[stock]) is not None:
            gains.append(step[0])
            losses.append(step[1])
            stock = self.stock[step[0]]
        return self._shift(gains, losses, most=min(most, self.free[stock]))

    def _shift(self, gains: list[int], losses: list[int], *, most: int) -> int:
        """As many units as fit move from the pairs that lose to those that gain."""
        units = min([most, *(self.units[pair] for pair in losses)])
        for pair in losses:
            self._push(pair, -units)
        for pair in gains:
            self._push(pair, units)
        return units


def _summed(index: IntArray, values: IntArray, size: int) -> IntArray:
    summed: IntArray = np.bincount(index, weights=values, minlength=size).astype(np.int64)
    return summed
