"""No more is ordered than sells before it expires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inventory.protection_demand import LEAST_UNITS
from inventory.schema import RoundedOrder

if TYPE_CHECKING:
    from inventory.protection_demand import Courses
    from inventory.schema import OrderTerms


def most_sold_fresh(courses: Courses, *, days: int) -> int:
    """Units of an order placed now that sell within so many days of their receipt on the median path, whole units.

    What is there already when the order arrives sells first. Beyond the simulated days each path goes on at its mean rate.

    Args:
        courses: Demand, and supply that is all older than the order.
        days: Shelf life after receipt.
    """
    cumulative, lead_days = courses.cumulative, courses.lead_days
    paths, last = np.arange(cumulative.shape[1]), cumulative.shape[0] - 1
    end = np.minimum(lead_days + days, last)
    beyond = np.maximum(lead_days + days - last, 0) * cumulative[-1] / last
    wanted = cumulative[end, paths] - cumulative[lead_days, paths] + beyond
    older = np.maximum(courses.supply, 0.0)[end] - cumulative[lead_days, paths] + courses.lost[lead_days, paths]
    return int(np.quantile(np.maximum(wanted - older, 0.0), 0.5, method="inverted_cdf") + LEAST_UNITS)


def keep_fresh(rounded: RoundedOrder, most: int | None, *, terms: OrderTerms) -> RoundedOrder:
    """The order, cut to whole packs that sell before they expire; nothing where that is less than the smallest order."""
    if most is None or rounded.qty <= most:
        return rounded
    fitting = most // terms.order_multiple * terms.order_multiple
    return RoundedOrder(fitting if fitting >= rounded.smallest_qty else 0, rounded.smallest_qty, "shelf_life")
