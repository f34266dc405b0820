"""How much each method asks for, before the supplier's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inventory.projection import fill_quantity
from inventory.protection_demand import LEAST_UNITS
from inventory.schema import Target

if TYPE_CHECKING:
    from forecasting.schema import FloatArray
    from inventory.schema import ProtectionDemand, ReorderPolicy


def find_target(
    policy: ReorderPolicy,
    *,
    ratio: float,
    money_ratio: float | None,
    need: FloatArray,
    own_demand_qty: float,
    protection: ProtectionDemand,
    position_qty: int,
) -> Target:
    """What the policy's method asks for.

    Source: Snyder and Shen (2019), Fundamentals of Supply Chain Theory, chapters 4.3 to 4.5, for (s, S), (R, Q) and base stock.

    Args:
        policy: The method and its parameters.
        ratio: The quantile to take, for methods that take one.
        money_ratio: The one that money alone asks for.
        need: [path] units that an order has to bring, from `units_to_bring`.
        own_demand_qty: Mean demand between the order's arrival and the next one's, of which the least fill rate is a share.
        protection: Demand over lead and review time; its level is the quantile at `ratio`.
        position_qty: Inventory position: free units and those that arrive within lead and review time.
    """
    match policy.method:
        case "path_newsvendor":
            # a quantile of 20.000001 units is a rounding error, not a 21st unit
            raw = int(np.ceil(np.quantile(need, ratio, method="inverted_cdf") - LEAST_UNITS))
            floor = _fill_floor(policy.min_fill_rate, need, own_demand_qty)
            return Target(max(raw, floor), ratio, money_ratio, protection.p50_qty, fill_qty=max(0, floor - raw), floor_qty=floor)
        case "order_up_to":
            return Target(protection.level_qty - position_qty, ratio, money_ratio, protection.p50_qty)
        case "days_of_cover":
            level = int(np.ceil(protection.daily_mean_qty * (policy.cover_days or 0) - LEAST_UNITS))
            return Target(level - position_qty, None, None, level)
        case _:
            return _triggered(policy, ratio=ratio, money_ratio=money_ratio, level_qty=protection.level_qty, position_qty=position_qty)


def _fill_floor(rate: float | None, need: FloatArray, own_demand_qty: float) -> int:
    """The least order with which this share of demand is met in its own days; 0 without one (`inventory.projection.fill_quantity`)."""
    if rate is None:
        return 0
    return int(fill_quantity(np.sort(need)[None, :], np.array([own_demand_qty]), rate)[0])


def _triggered(policy: ReorderPolicy, *, ratio: float, money_ratio: float | None, level_qty: int, position_qty: int) -> Target:
    """(s, S), (R, Q) and min/max order nothing above their reorder point, which is a quantile where nobody names it."""
    is_given = policy.min_qty is not None
    trigger = level_qty if policy.min_qty is None else policy.min_qty
    taken, asked = (None, None) if is_given else (ratio, money_ratio)
    if policy.reorder_qty is not None and policy.method == "reorder_quantity":
        short = trigger - position_qty
        raw = max(1, -(-short // policy.reorder_qty)) * policy.reorder_qty if short >= 0 else 0
        return Target(raw, taken, asked, trigger, trigger)
    most = max(policy.max_qty or 0, trigger)
    return Target(most - position_qty if position_qty <= trigger else 0, taken, asked, most, trigger)
