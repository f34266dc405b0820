"""Exact stock levels where demand is known as a law: one period, or a base stock over lead time and review.

Costs are per unit and period in any one unit of money: `holding_cost` h for a unit left at the end, `shortage_cost` p for a unit that was
wanted and not there. They serve as references that simulated rules are tested against, and as rules of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from forecasting.schema import FloatArray, IntArray

_SUM_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class BaseStock:
    """The level S that stock is brought up to, in units, and its expected cost of a period."""

    order_up_to_qty: float
    cost: float


def newsvendor_normal(
    *, holding_cost: float, shortage_cost: float, demand_mean_qty: float, demand_sd_qty: float, lead_periods: int = 0
) -> BaseStock:
    """The best base stock for independent normal demand: with n = L + 1, S = n mu + z sqrt(n) sigma at z = Phi^-1(p / (p + h)).

    With a lead time, demand that is not met waits. An order decided at the end of period t counts in period t + L + 1.

    Args:
        holding_cost: h.
        shortage_cost: p.
        demand_mean_qty: mu, units a period.
        demand_sd_qty: sigma, units.
        lead_periods: L, full periods between an order and the one that it is sellable in.

    Source: Snyder and Shen 2019, equations 4.24 and 4.30; over a lead time as in example 4.4.

    Raises:
        ValueError: A cost is not positive, or the standard deviation or lead time below 0.
    """
    ratio = _critical_ratio(holding_cost=holding_cost, shortage_cost=shortage_cost)
    if demand_sd_qty < 0 or lead_periods < 0:
        raise ValueError(f"demand_sd_qty, lead_periods: have to be at least 0, got {demand_sd_qty!r} and {lead_periods!r}.")
    deviation = demand_sd_qty * (lead_periods + 1) ** 0.5
    z = float(special.ndtri(ratio))
    cost = (holding_cost + shortage_cost) * deviation * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return BaseStock(order_up_to_qty=(lead_periods + 1) * demand_mean_qty + z * deviation, cost=cost)


def newsvendor_discrete(probabilities: FloatArray, *, holding_cost: float, shortage_cost: float, lead_periods: int = 0) -> BaseStock:
    """The best base stock for independent whole demand: the least S with F(S) >= p / (p + h), F over L + 1 periods.

    Args:
        probabilities: P(D = 0), P(D = 1), ... of one period.
        holding_cost: h.
        shortage_cost: p.
        lead_periods: L; with a lead time, demand that is not met waits.

    Source: Snyder and Shen 2019, equation 4.35.

    Raises:
        ValueError: A cost is not positive, or the probabilities are none.
    """
    ratio = _critical_ratio(holding_cost=holding_cost, shortage_cost=shortage_cost)
    law = demand_over(probabilities, periods=lead_periods + 1)
    # a sum of floats may miss the ratio by its last digit
    level = int(np.argmax(np.cumsum(law) >= min(ratio, float(law.sum())) - 1e-12))
    cost = expected_costs(law, np.array([level]), holding_cost=holding_cost, shortage_cost=shortage_cost)[0]
    return BaseStock(order_up_to_qty=float(level), cost=float(cost))


def newsvendor_sample(demand: FloatArray, *, holding_cost: float, shortage_cost: float) -> BaseStock:
    """The best level where each demand of a sample is equally likely: the least of them that a share p / (p + h) does not exceed.

    Args:
        demand: Demand over the time to cover, units, any number of any size.
        holding_cost: h.
        shortage_cost: p.

    Raises:
        ValueError: A cost is not positive, or the sample is empty or not finite.
    """
    ratio = _critical_ratio(holding_cost=holding_cost, shortage_cost=shortage_cost)
    if demand.size == 0 or not np.isfinite(demand).all():
        raise ValueError(f"demand: {demand.size} values of which {np.isfinite(demand).sum()} are finite; pass at least one, all finite.")
    level = float(np.quantile(demand, ratio, method="inverted_cdf"))
    cost = holding_cost * np.maximum(level - demand, 0.0).mean() + shortage_cost * np.maximum(demand - level, 0.0).mean()
    return BaseStock(order_up_to_qty=level, cost=float(cost))


def demand_over(probabilities: FloatArray, *, periods: int) -> FloatArray:
    """Law of demand summed over independent periods: P(0), P(1), ...

    Raises:
        ValueError: The probabilities are no law, or there is no period.
    """
    if probabilities.ndim != 1 or (probabilities < 0).any() or not abs(probabilities.sum() - 1.0) <= _SUM_TOLERANCE:
        raise ValueError(f"probabilities: have to be one row, at least 0 and sum to 1, got a sum of {probabilities.sum():.6g}.")
    if periods < 1:
        raise ValueError(f"periods: has to be at least 1, got {periods}.")
    total = probabilities
    for _ in range(periods - 1):
        total = np.convolve(total, probabilities)
    return total


def expected_costs(law: FloatArray, levels: IntArray, *, holding_cost: float, shortage_cost: float) -> FloatArray:
    """g(y) = h E(y - D)+ + p E(D - y)+ at whole levels y, also below 0. Source: Snyder and Shen 2019, equation 4.6.

    Args:
        law: P(D = 0), P(D = 1), ... of demand over the time to cover.
        levels: y, units.
        holding_cost: h.
        shortage_cost: p.
    """
    gap = levels[:, None] - np.arange(len(law))[None, :]
    costs: FloatArray = (holding_cost * np.maximum(gap, 0) + shortage_cost * np.maximum(-gap, 0)) @ law
    return costs


def _critical_ratio(*, holding_cost: float, shortage_cost: float) -> float:
    """Share of periods that stock should suffice for: p / (p + h).

    Raises:
        ValueError: A cost is not positive and finite.
    """
    for name, cost in (("holding_cost", holding_cost), ("shortage_cost", shortage_cost)):
        if not 0.0 < cost < float("inf"):
            raise ValueError(f"{name}: has to be positive and finite, got {cost!r}; pass the cost of a unit and period.")
    return shortage_cost / (shortage_cost + holding_cost)
