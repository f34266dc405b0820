"""The exact optimum where demand that is not met is lost: an average-cost dynamic program over stock and pipeline.

An order decided at the end of period t with lead L is there at the start of t + L + 1. The state of that decision is what period t + 1
begins with (stock plus what arrives) and the L - 1 orders behind it: [stock, order, ..., order], whole units, truncated.
Source: Zipkin 2008, "Old and new methods for lost-sales inventory systems", Operations Research 56(5), whose lead time of L periods is this L.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

SPAN = 1e-5


@dataclass(frozen=True)
class LostSales:
    """One item with known demand: P(D = 0), P(D = 1), ... of a period, and costs of a unit left over and a unit lost."""

    law: Any
    lead_periods: int
    holding_cost: float
    shortage_cost: float
    stock_limit: int
    order_limit: int

    @cached_property
    def leftover(self) -> Any:
        """[stock at the start, stock at the end]: probability that a period leaves it."""
        begin, end = np.arange(self.stock_limit + 1)[:, None], np.arange(self.stock_limit + 1)[None, :]
        sold = np.where(end <= begin, begin - end, len(self.law))
        left = np.append(self.law, np.zeros(max(1, self.stock_limit + 1)))[np.minimum(sold, len(self.law))]
        left[:, 0] = 1.0 - left[:, 1:].sum(axis=1)
        return left

    @cached_property
    def costs(self) -> Any:
        """[stock at the start]: expected cost of the period."""
        gap = np.arange(self.stock_limit + 1)[:, None] - np.arange(len(self.law))[None, :]
        return (self.holding_cost * np.maximum(gap, 0) + self.shortage_cost * np.maximum(-gap, 0)) @ self.law

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.stock_limit + 1, *(self.order_limit + 1,) * (self.lead_periods - 1))

    def optimum(self) -> tuple[float, Any]:
        """Least average cost of a period and, per state, the order that attains it; relative value iteration to a span of 1e-5."""
        return self._iterate(None)

    def cost_of(self, orders: Any) -> float:
        """Average cost of a period of ordering `orders` [state] for ever, evaluated exactly on the chain."""
        return self._iterate(orders)[0]

    def projected(self) -> Any:
        """[state, stock]: probability of the stock left when the order that is decided now arrives."""
        left = np.broadcast_to(
            self.leftover.reshape(-1, *(1,) * (self.lead_periods - 1), self.stock_limit + 1), (*self.state_shape, self.stock_limit + 1)
        )
        for place in range(1, self.lead_periods):
            arrived = np.zeros_like(left)
            for order in range(self.order_limit + 1):
                state = (*(slice(None),) * place, order)
                arrived[(*state, ..., slice(order, None))] = left[(*state, ..., slice(0, self.stock_limit + 1 - order))]
                arrived[(*state, ..., -1)] += left[(*state, ..., slice(self.stock_limit + 1 - order, None))].sum(axis=-1)
            left = arrived @ self.leftover
        return left

    def quantile_orders(self, ratio: float) -> Any:
        """[state]: the ratio's quantile of (demand of the period in which the order arrives - stock left by then), at least 0."""
        units = np.arange(self.stock_limit + 1)[:, None] + np.arange(self.order_limit + 1)[None, :]
        enough = np.append(np.cumsum(self.law), 1.0)[np.minimum(units, len(self.law))]
        return np.minimum((self.projected() @ enough < ratio - 1e-12).sum(axis=-1), self.order_limit)

    def states(self) -> tuple[Any, Any]:
        """stock [state] that the next period begins with, and what arrives after it [period ahead, state]; states in the order of a flat array."""
        places = np.indices(self.state_shape).reshape(self.lead_periods, -1).astype(np.float64)
        return places[0], places[1:]

    def base_stock_orders(self, level: int) -> Any:
        """[state]: what brings stock and pipeline up to the level."""
        held = np.arange(self.stock_limit + 1).reshape(-1, *(1,) * (self.lead_periods - 1))
        for place in range(1, self.lead_periods):
            held = held + np.arange(self.order_limit + 1).reshape(*(1,) * place, -1, *(1,) * (self.lead_periods - 1 - place))
        return np.clip(level - held, 0, self.order_limit)

    def _iterate(self, orders: Any) -> tuple[float, Any]:
        values = np.zeros(self.state_shape)
        costs = self.costs.reshape(-1, *(1,) * (self.lead_periods - 1))
        for _ in range(5_000):
            ahead = self._ahead(values)
            chosen = ahead.min(axis=-1) if orders is None else np.take_along_axis(ahead, orders[..., None], axis=-1)[..., 0]
            change = costs + chosen - values
            values = values + change - change.flat[0]
            if np.ptp(change) < SPAN:
                return float(change.min() + change.max()) / 2, ahead.argmin(axis=-1) if orders is None else orders
        raise AssertionError("not converged")

    def _ahead(self, values: Any) -> Any:
        """[state, order]: expected value of what the next period begins with."""
        stock = np.minimum(np.arange(self.stock_limit + 1)[:, None] + np.arange(self.order_limit + 1)[None, :], self.stock_limit)
        behind = values.reshape(self.stock_limit + 1, -1)
        expected = self.leftover @ behind[stock].reshape(self.stock_limit + 1, -1)
        return expected.reshape(*self.state_shape, self.order_limit + 1)
