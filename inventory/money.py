"""What a unit missed and a unit held cost, from the merchant's own figures; and what an order costs and saves on simulated courses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.policy import starting_ratio
from inventory.protection_demand import lost_units
from inventory.schema import UnitMoney

if TYPE_CHECKING:
    from inventory.protection_demand import Courses
    from inventory.schema import OrderTerms, ReorderPolicy

DAYS_OF_YEAR: Final = 365
LEAST_RATIO: Final = 0.5  # never below the median of the need: money alone starves what sells slowly
LONGEST_HOLDING_DAYS: Final = 3650.0


def unit_money(terms: OrderTerms, policy: ReorderPolicy) -> UnitMoney:
    """Shortage = unit margin x share of sales that are lost; holding = yearly rate x unit cost / 365 a day."""
    holding = terms.unit_cost_amount * policy.holding_cost_rate / DAYS_OF_YEAR
    if terms.list_price_amount is None:
        return UnitMoney(None, holding, "a list price in the supplier's currency")
    margin = terms.list_price_amount - terms.unit_cost_amount
    if margin <= 0:
        return UnitMoney(None, holding, "a list price above the supplier's price")
    return UnitMoney(margin * policy.lost_sales_share, holding, None)


def money_ratio(money: UnitMoney, policy: ReorderPolicy) -> float | None:
    """The quantile that money alone asks for, p / (p + 1.5 h) or, where customers wait, p / (p + h); None where it is not known.

    p is the cost of a unit missed, h the cost of holding one for a review period (see `inventory.policy.starting_ratio`).
    """
    if not money.shortage_amount:
        return None
    held = money.holding_amount * policy.review_period_days
    return starting_ratio(held, money.shortage_amount, shortage="backorder" if policy.method == "order_up_to" else "lost")


def bounded_ratio(ratio: float | None, policy: ReorderPolicy) -> float:
    """The quantile to order: what the policy names; else what money asks for, at most the service level and at least the median.

    Without money it is the service level.
    """
    if policy.critical_ratio is not None:
        return policy.critical_ratio
    return policy.service_level if ratio is None else min(policy.service_level, max(LEAST_RATIO, ratio))


def rounding_ratio(ratio: float | None, policy: ReorderPolicy) -> float | None:
    """The quantile whose costs packs are weighed by: what money asks for, at least the median; None where they are always rounded up.

    That is where money is not known, where a rule names the quantile, and in the methods that take the position as it is.
    """
    if ratio is None or policy.critical_ratio is not None or policy.method != "path_newsvendor":
        return None
    return max(LEAST_RATIO, ratio)


def cost_of_order(courses: Courses, *, qty: int, money: UnitMoney) -> tuple[float, float | None]:
    """Mean cost of holding what an order adds until it is sold, and of what is lost all the same between its arrival and the next one's.

    Stock with and without the order is followed on the same paths, counted at the end of each day; what the order has added by the
    last simulated day is sold at the mean rate of the paths.

    Args:
        courses: Demand, supply and losses without the order.
        qty: Units ordered.
        money: Of one unit.

    Returns:
        Holding cost; and lost margin, None where no margin is known. In minor units.
    """
    cumulative, supply, lead_days = courses.cumulative, courses.supply, courses.lead_days
    days, paths = np.arange(cumulative.shape[0])[:, None], np.arange(cumulative.shape[1])
    with_order = supply[:, None] + qty * (days > lead_days)
    lost_with = lost_units(cumulative, with_order)
    stock_with = np.maximum(with_order, 0.0) - cumulative + lost_with
    stock_without = np.maximum(supply, 0.0)[:, None] - cumulative + courses.lost
    held = (stock_with - stock_without).sum(axis=0).mean()
    rate = cumulative[-1].mean() / (cumulative.shape[0] - 1)
    left, left_without = stock_with[-1], stock_without[-1]
    if rate > 0:
        tail = np.minimum((left**2 - left_without**2) / (2.0 * rate), (left - left_without) * LONGEST_HOLDING_DAYS).mean()
    else:
        tail = ((left - left_without) * LONGEST_HOLDING_DAYS).mean()
    holding = float(money.holding_amount * (held + tail))
    if money.shortage_amount is None:
        return holding, None
    still = (lost_with[lead_days + courses.review_period_days, paths] - lost_with[lead_days, paths]).mean()
    return holding, float(money.shortage_amount * still)
