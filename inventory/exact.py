"""Exact optima of two rules where an order has a fixed cost K: (s, S) and (R, Q).

Demand is whole, independent from period to period, and waits where it is not met. Costs are of a period, in any one unit of money.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inventory.newsvendor import demand_over, expected_costs, newsvendor_discrete

if TYPE_CHECKING:
    from forecasting.schema import FloatArray


@dataclass(frozen=True, slots=True)
class OrderUpTo:
    """(s, S): at a position of `reorder_point_qty` or less, order up to `order_up_to_qty`; expected cost of a period."""

    reorder_point_qty: int
    order_up_to_qty: int
    cost: float


@dataclass(frozen=True, slots=True)
class OrderBatches:
    """(R, Q): at a position of `reorder_point_qty` or less, order batches of `batch_qty` until above it; expected cost of a period."""

    reorder_point_qty: int
    batch_qty: int
    cost: float


def order_up_to_cost(
    probabilities: FloatArray,
    *,
    reorder_point_qty: int,
    order_up_to_qty: int,
    holding_cost: float,
    shortage_cost: float,
    order_cost: float,
    lead_periods: int = 0,
) -> float:
    """Expected cost of a period under (s, S): (K + sum_{j < S-s} m(j) g(S - j)) / sum_{j < S-s} m(j), m the renewal density of demand.

    Source: Zheng and Federgruen 1991; Snyder and Shen 2019, equations 4.71 to 4.75. The order of an item that is at s or less
    at the end of period t is there in period t + L + 1; g is the cost of a position over L + 1 periods' demand.

    Raises:
        ValueError: S is not above s, or as `best_order_up_to` says.
    """
    if order_up_to_qty <= reorder_point_qty:
        raise ValueError(f"order_up_to_qty: {order_up_to_qty} has to be above reorder_point_qty {reorder_point_qty}.")
    law = demand_over(probabilities, periods=lead_periods + 1)
    levels = np.arange(order_up_to_qty, reorder_point_qty, -1)
    costs = expected_costs(law, levels, holding_cost=holding_cost, shortage_cost=shortage_cost)
    density = _renewal_density(probabilities, len(levels))
    return float((order_cost + density @ costs) / density.sum())


def best_order_up_to(
    probabilities: FloatArray, *, holding_cost: float, shortage_cost: float, order_cost: float, lead_periods: int = 0
) -> OrderUpTo:
    """The cheapest (s, S) there is.

    Args:
        probabilities: P(D = 0), P(D = 1), ... of one period.
        holding_cost: h, per unit left at the end of a period.
        shortage_cost: p, per unit waiting at the end of a period.
        order_cost: K, per order.
        lead_periods: L, full periods between an order and the one that it is sellable in.

    Source: Zheng and Federgruen 1991, "Finding optimal (s, S) policies is about as simple as evaluating a single policy", Operations
    Research 39(4); Snyder and Shen 2019, algorithm 4.2.

    Raises:
        ValueError: A cost is not positive, the probabilities are none, or demand is always zero.
    """
    law = demand_over(probabilities, periods=lead_periods + 1)
    _check_fixed_cost(order_cost, probabilities)
    newsvendor = newsvendor_discrete(probabilities, holding_cost=holding_cost, shortage_cost=shortage_cost, lead_periods=lead_periods)
    lowest = int(newsvendor.order_up_to_qty)

    def level_cost(level: int) -> float:
        return float(expected_costs(law, np.array([level]), holding_cost=holding_cost, shortage_cost=shortage_cost)[0])

    def cost(low: int, high: int) -> float:
        return order_up_to_cost(
            probabilities,
            reorder_point_qty=low,
            order_up_to_qty=high,
            holding_cost=holding_cost,
            shortage_cost=shortage_cost,
            order_cost=order_cost,
            lead_periods=lead_periods,
        )

    low, high = lowest - 1, lowest
    while cost(low, high) > level_cost(low):
        low -= 1
    best, trial = cost(low, high), lowest + 1
    while level_cost(trial) <= best:
        if cost(low, trial) < best:
            high = trial
            while cost(low, high) <= level_cost(low + 1):
                low += 1
            best = cost(low, high)
        trial += 1
    return OrderUpTo(reorder_point_qty=low, order_up_to_qty=high, cost=best)


def best_order_batches(
    law: FloatArray, *, holding_cost: float, shortage_cost: float, order_cost: float, demand_mean_qty: float, batch_qty: int | None = None
) -> OrderBatches:
    """The cheapest (R, Q): (K mu + sum_{y=R+1}^{R+Q} g(y)) / Q, as the position is equally often at R + 1, ..., R + Q.

    Exact for Poisson demand in continuous time, and period by period with K for each batch; a batch more costs as long as its
    position costs more than all others do on average.

    Args:
        law: P(D = 0), P(D = 1), ... of demand over the lead time, period by period over L + 1 periods.
        holding_cost: h, per unit and period.
        shortage_cost: p, per unit waiting and period.
        order_cost: K, per batch.
        demand_mean_qty: mu, units a period.
        batch_qty: Q where it is given, as a full pallet is; None to choose it.

    Source: Federgruen and Zheng 1992, "An efficient algorithm for computing an optimal (r, Q) policy", Operations Research 40(4);
    Snyder and Shen 2019, equation 5.48.

    Raises:
        ValueError: A cost is not positive, or the probabilities are none.
    """
    _check_fixed_cost(order_cost, law)
    newsvendor = newsvendor_discrete(law, holding_cost=holding_cost, shortage_cost=shortage_cost)
    point, batch = int(newsvendor.order_up_to_qty) - 1, 1
    total = order_cost * demand_mean_qty + newsvendor.cost
    while True:
        ends = np.array([point, point + batch + 1])
        below, above = expected_costs(law, ends, holding_cost=holding_cost, shortage_cost=shortage_cost).tolist()
        further = min(below, above)
        if (batch_qty is None and further >= total / batch) or batch == batch_qty:
            return OrderBatches(reorder_point_qty=point, batch_qty=batch, cost=total / batch)
        point, batch, total = point - (below <= above), batch + 1, total + further


def _renewal_density(probabilities: FloatArray, count: int) -> FloatArray:
    """m(0), ..., m(count - 1): the mean number of periods in which demand since an order stands at j; m = 1{j=0} + P * m."""
    again = 1.0 / (1.0 - probabilities[0])
    density = np.zeros(count)
    density[0] = again
    for units in range(1, count):
        least = max(0, units - len(probabilities) + 1)
        density[units] = again * (density[least:units] @ probabilities[units - least : 0 : -1])
    return density


def _check_fixed_cost(order_cost: float, probabilities: FloatArray) -> None:
    if not 0.0 <= order_cost < float("inf"):
        raise ValueError(f"order_cost: has to be at least 0 and finite, got {order_cost!r}; pass the fixed cost of an order.")
    if probabilities[0] >= 1.0:
        raise ValueError("probabilities: demand is always 0; there is nothing to order.")
