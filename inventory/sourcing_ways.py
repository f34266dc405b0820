"""The best way to serve each order from each few of its places, at given prices of a unit."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.schema import BoolArray, FloatArray, IntArray
    from inventory.sourcing_problem import SourcingProblem

    Way = tuple[int, IntArray, IntArray]

MOST_PLACES: Final = 10  # of an order, those that could bring most units: more have too many subsets
NEVER: Final = 1e9  # the price of what cannot be
NEARLY_BEST: Final = 0.3  # by so much a way may be worse than the best of its order and still be tried


class WaysOfOrders:
    """Ways, each an order, its pairs and their units above 0, by order and subset of its places.

    At given prices the lines of an order are filled one by one, from the cheapest place of the subset on.
    """

    def __init__(
        self,
        problem: SourcingProblem,
        is_optional: BoolArray,
        *,
        shipment_cost: FloatArray,
        split: float,
        most: int,
        slack: float = NEARLY_BEST,
    ) -> None:
        """Is told what does not change.

        Args:
            problem: What could ship from where.
            is_optional: The line may stay open, [line]; any other is filled.
            shipment_cost: [shipment].
            split: Cost of a shipment beyond the first.
            most: Most shipments of a way.
            slack: By so much a way may be worse than the best of its order and still be given.
        """
        place = _places(problem)
        width = int(place.max(initial=0)) + 1
        kept = np.flatnonzero(place[problem.pair_shipment] >= 0)
        self.pair_at = np.full((len(problem.line_qty), width), -1)
        self.pair_at[problem.pair_line[kept], place[problem.pair_shipment[kept]]] = kept
        units = np.append(np.minimum(problem.line_qty[problem.pair_line], problem.stock_qty[problem.pair_stock]), 0)
        self.most_units = units[self.pair_at]
        self.line_qty, self.line_order, self.is_optional, self.slack = problem.line_qty[:, None], problem.line_order, is_optional, slack
        chosen = [places for size in range(min(most, width) + 1) for places in combinations(range(width), size)]
        self.subsets = np.array([np.isin(np.arange(width), places) for places in chosen])
        self.sizes = self.subsets.sum(axis=1)
        cost = np.full((problem.orders_count, width), NEVER)
        known = np.flatnonzero(place >= 0)
        cost[problem.shipment_order[known], place[known]] = shipment_cost[known]
        self.fixed_cost = cost @ self.subsets.T + split * np.maximum(self.sizes - 1, 0)
        self.ranked_places = self.ranked_units = np.zeros_like(self.pair_at)

    def values(self, price: FloatArray) -> FloatArray:
        """The least cost of each order by subset of its places, at this price of a unit of each pair: [order, subset]."""
        prices = np.append(price, NEVER)[self.pair_at]
        self.ranked_places = np.argsort(prices, axis=1, kind="stable")
        units = np.where(self.is_optional[:, None] & (prices >= 0), 0, self.most_units)
        self.ranked_units = np.take_along_axis(units, self.ranked_places, axis=1)
        ranked_prices = np.take_along_axis(prices, self.ranked_places, axis=1)
        result: FloatArray = self.fixed_cost.copy()
        for number, subset in enumerate(self.subsets):
            units = self._units(subset, slice(None))
            cost = (units * ranked_prices).sum(axis=1)
            is_full = self.is_optional | (units.sum(axis=1) == self.line_qty[:, 0])
            result[:, number] += np.bincount(self.line_order, weights=np.where(is_full, cost, NEVER), minlength=len(result))
        return result

    def best(self, values: FloatArray) -> Iterator[Way]:
        """The best way of each order and number of places at the prices asked for last, where it is nearly the order's best."""
        least = values.min(axis=1)
        first = np.searchsorted(self.line_order, np.arange(len(values) + 1))
        for size in range(int(self.sizes.max()) + 1):
            numbers = np.flatnonzero(self.sizes == size)
            best = numbers[np.argmin(values[:, numbers], axis=1)]
            value = values[np.arange(len(values)), best]
            for order in np.flatnonzero((value < least + self.slack) & (value < NEVER / 2)).tolist():
                lines = slice(first[order], first[order + 1])
                units = self._units(self.subsets[best[order]], lines)
                pairs = np.take_along_axis(self.pair_at[lines], self.ranked_places[lines], axis=1)
                taken = np.argsort(pairs[units > 0])
                yield order, pairs[units > 0][taken], units[units > 0][taken]

    def _units(self, subset: BoolArray, lines: slice) -> IntArray:
        """Units of these lines from the places of a subset, the cheapest first: [line, place by price]."""
        there = self.ranked_units[lines] * subset[self.ranked_places[lines]]
        through = np.minimum(np.cumsum(there, axis=1), self.line_qty[lines])
        units: IntArray = np.diff(through, axis=1, prepend=0)
        return units


def _places(problem: SourcingProblem) -> IntArray:
    """The number of each shipment in its order, by falling units that it could bring; -1 beyond `MOST_PLACES`."""
    most = np.minimum(problem.line_qty[problem.pair_line], problem.stock_qty[problem.pair_stock])
    units = np.bincount(problem.pair_shipment, weights=most, minlength=len(problem.shipment_cost))
    order = np.lexsort((-units, problem.shipment_order))
    owner = problem.shipment_order[order]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(owner, owner)
    return np.where(place < MOST_PLACES, place, -1)
