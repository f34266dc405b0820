"""Ways to serve each order, of which a linear programme chooses one per order, for all orders at once.

A way is the units of each pair of an order. The programme's prices of stock find ways that are still missing (column generation);
they also bound from below what any answer can reach.

Source: Desaulniers, Desrosiers and Solomon (eds.), Column Generation (2005), chapter 1; prices are smoothed as in Wentges (1997),
Weighted Dantzig-Wolfe decomposition for linear mixed-integer programming.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from inventory.sourcing_problem import score
from inventory.sourcing_search import LESSER_WEIGHT
from inventory.sourcing_ways import MOST_PLACES, WaysOfOrders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forecasting.schema import FloatArray, IntArray
    from inventory.sourcing_problem import SourcingProblem
    from inventory.sourcing_ways import Way

MOST_LINES: Final = 4_000  # a programme of more takes too long
MOST_SHIPMENTS: Final = 3  # of a way that is sought; those of the answer may have more
MOST_ROUNDS: Final = 20
SMOOTHED: Final = 0.6  # the weight of the prices that gave the best bound
SOME: Final = 1e-6  # more than rounding
NEAR_ENOUGH: Final = 0.005  # of the programme's optimum, that its bound may be away
WAYS_PER_ORDER: Final = 2.8  # that the whole-numbered programme chooses from
GAP: Final = 0.01


def better_ways(problem: SourcingProblem, answer: IntArray, *, most_cost: int) -> IntArray:
    """An answer with as many units of each SKU, class and tier, and fewer splits or, at equal splits, less cost; else the same answer.

    Args:
        problem: Of at most `MOST_LINES` lines.
        answer: [pair].
        most_cost: That the answer may have, in minor units.
    """
    start = score(problem, answer)
    if not start.shipments or (not start.splits and not problem.is_cost_first):
        return answer
    per_money = start.shipments / max(1, int(problem.shipment_cost[problem.shipments(answer)].sum()))
    split, money = (LESSER_WEIGHT, per_money) if problem.is_cost_first else (1.0, LESSER_WEIGHT * per_money)
    choice = WayChoice(problem, answer, split=split, money=money, most=min(MOST_SHIPMENTS, problem.most_shipments or MOST_SHIPMENTS))
    choice.seek(near=NEAR_ENOUGH, rounds=MOST_ROUNDS)
    found = choice.whole()
    if found is None:
        return answer
    new = score(problem, found)
    is_better = (new.cost, new.splits) < (start.cost, start.splits) if problem.is_cost_first else new.key < start.key
    return found if is_better and new.units == start.units and new.cost <= most_cost else answer


def fewest_splits(problem: SourcingProblem, answer: IntArray) -> int:
    """No answer that ships as many units of each SKU, class and tier as this one has fewer splits than so many.

    Raises:
        ValueError: An order has more than `MOST_PLACES` places, so not all its ways were looked at.
    """
    if np.bincount(problem.shipment_order, minlength=1).max() > MOST_PLACES:
        raise ValueError(f"problem: an order has more than {MOST_PLACES} places; the bound is for fewer.")
    choice = WayChoice(problem, answer, split=1.0, money=0.0, most=MOST_PLACES)
    choice.seek(near=1e-6, rounds=10 * MOST_ROUNDS)
    return max(0, math.ceil(choice.bound - 1e-6))


class WayChoice:
    """The linear programme: one way of each order, within the stock, at the units of the answer."""

    def __init__(self, problem: SourcingProblem, answer: IntArray, *, split: float, money: float, most: int) -> None:
        self.problem, self.split, self.money = problem, split, money
        self.orders = problem.orders_count
        line_group = _numbered(problem.line_sku, problem.line_class)
        open_qty = problem.line_qty - np.bincount(problem.pair_line, weights=answer, minlength=len(problem.line_qty))
        is_short = np.bincount(line_group, weights=open_qty) > 0
        tier_group = _numbered(problem.line_sku[problem.pair_line], problem.pair_tier)
        totals = [_incidence(line_group[problem.pair_line], len(is_short))[np.flatnonzero(is_short)], _incidence(tier_group)]
        equal = sparse.vstack(totals).tocsr()
        stock = _incidence(problem.pair_stock, len(problem.stock_qty))
        self.rows = sparse.vstack([equal, stock]).tocsr()
        self.most_units = np.concatenate([equal @ answer, problem.stock_qty]).astype(np.float64)
        self.equals = equal.shape[0]
        self.ways: list[Way] = []
        self.costs: list[float] = []
        self.known: set[tuple[int, bytes, bytes]] = set()
        self.bound = -math.inf
        costs: FloatArray = money * problem.shipment_cost.astype(np.float64)
        self.sought = WaysOfOrders(problem, is_short[line_group], shipment_cost=costs, split=split, most=most)
        shipped = np.flatnonzero(answer)
        parts = np.split(shipped, np.searchsorted(problem.line_order[problem.pair_line[shipped]], np.arange(1, self.orders)))
        self.add((order, pairs, answer[pairs]) for order, pairs in enumerate(parts))

    def add(self, ways: Iterable[Way]) -> int:
        """How many of the ways were not there yet."""
        before = len(self.ways)
        for order, pairs, units in ways:
            sign = (order, pairs.tobytes(), units.tobytes())
            if sign in self.known:
                continue
            self.known.add(sign)
            shipments = np.unique(self.problem.pair_shipment[pairs])
            money = int(self.problem.shipment_cost[shipments].sum() + (units * self.problem.pair_cost[pairs]).sum())
            self.costs.append(self.split * max(0, len(shipments) - 1) + self.money * money)
            self.ways.append((order, pairs, units))
        return len(self.ways) - before

    def seek(self, *, near: float, rounds: int) -> None:
        """Ways are added until the optimum is within so much of its bound, no way is missing or the rounds are over."""
        best = None
        for _ in range(rounds):
            optimum, _, prices, _ = self._solve()
            added = 0
            for tried in [prices] if best is None else [SMOOTHED * best + (1.0 - SMOOTHED) * prices, prices]:
                values = self.sought.values(self.money * self.problem.pair_cost - self.rows.T @ tried)
                bound = float(values.min(axis=1).sum() + tried @ self.most_units)
                if bound > self.bound:
                    self.bound, best = bound, tried
                added = self.add(self.sought.best(values))
                if added:
                    break
            if not added or optimum - self.bound <= near * abs(optimum):
                return

    def whole(self) -> IntArray | None:
        """The best answer of whole ways among those that the programme rates best, [pair]; None where the solver found none."""
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - takes longer to import than all else here

        _, order_prices, prices, share = self._solve()
        of_order, units = self._matrices()
        rated = np.array(self.costs) - of_order.T @ order_prices - (self.rows @ units).T @ prices
        rated[: self.orders] = -math.inf  # the answer that is there
        rated[share > SOME] = -math.inf
        kept = np.sort(np.argsort(rated, kind="stable")[: int(WAYS_PER_ORDER * self.orders)])
        rows = sparse.vstack([of_order, self.rows @ units]).tocsc()[:, kept]
        most = np.concatenate([np.ones(self.orders), self.most_units])
        least = np.where(np.arange(len(most)) < self.orders + self.equals, most, -np.inf)
        solved = milp(
            np.array(self.costs)[kept],
            integrality=np.ones(len(kept)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(rows.tocsr(), least, most),
            options={"mip_rel_gap": GAP, "node_limit": 1},  # counted, not timed: it repeats itself
        )
        if solved.x is None:
            return None
        result: IntArray = np.rint(units[:, kept] @ np.rint(solved.x)).astype(np.int64)
        return result

    def _matrices(self) -> tuple[sparse.csc_array, sparse.csc_array]:
        """Which order a way is of, [order, way], and its units, [pair, way]."""
        number = np.repeat(np.arange(len(self.ways)), [len(pairs) for _, pairs, _ in self.ways])
        pairs, units = (np.concatenate([way[part] for way in self.ways]) for part in (1, 2))
        orders = [order for order, _, _ in self.ways]
        return (
            sparse.csc_array((np.ones(len(orders)), (orders, np.arange(len(orders)))), shape=(self.orders, len(orders))),
            sparse.csc_array((units.astype(np.float64), (pairs, number)), shape=(self.rows.shape[1], len(orders))),
        )

    def _solve(self) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """The optimum, the prices of orders and of rows, and the share that each way has."""
        from scipy.optimize import linprog  # noqa: PLC0415 - takes longer to import than all else here

        of_order, units = self._matrices()
        rows = (self.rows @ units).tocsr()
        solved = linprog(
            self.costs,
            A_eq=sparse.vstack([of_order, rows[: self.equals]]),
            b_eq=np.concatenate([np.ones(self.orders), self.most_units[: self.equals]]),
            A_ub=rows[self.equals :],
            b_ub=self.most_units[self.equals :],
            bounds=(0, None),
            method="highs",
        )
        prices = np.concatenate([solved.eqlin.marginals, solved.ineqlin.marginals])
        return float(solved.fun), prices[: self.orders], prices[self.orders :], solved.x


def _numbered(first: IntArray, second: IntArray) -> IntArray:
    """The pairs of two numbers, numbered from 0 on."""
    number: IntArray = np.unique(first * (int(second.max(initial=0)) + 1) + second, return_inverse=True)[1]
    return number


def _incidence(group_of: IntArray, groups: int | None = None) -> sparse.csr_array:
    """Which group an index is of, [group, index]."""
    size = int(group_of.max(initial=-1)) + 1 if groups is None else groups
    return sparse.csr_array((np.ones(len(group_of)), (group_of, np.arange(len(group_of)))), shape=(size, len(group_of)))
