"""Stock day by day, as simulated demand and dated deliveries leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.protection_demand import lost_units, supply_by_day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from forecasting.schema import FloatArray
    from inventory.schema import Inbound

OUTLOOK_LEVELS: Final = (0.1, 0.5, 0.9)


def stock_outlook(cumulative: FloatArray, *, free_qty: int, inbound: Sequence[Inbound], as_of: date) -> FloatArray:
    """Quantiles of the units available at the end of the as-of day and of each day after it, as [level, day].

    What is missed is lost and does not lower later stock: on each path stock is supply, less demand, plus what was lost so far.

    Args:
        cumulative: From `cumulative_demand`, [day, path]; row 1 is the day after `as_of`.
        free_qty: Units that can be sold; negative if units are owed.
        inbound: Dated deliveries; undated or overdue units count from the first day.
        as_of: Last complete day.
    """
    supply = supply_by_day(cumulative.shape[0] - 1, free_qty=free_qty, inbound=inbound, as_of=as_of)
    owned = np.maximum(supply, 0.0)[:, None]
    lost = lost_units(cumulative, supply)
    result: FloatArray = np.quantile(owned - cumulative + lost, OUTLOOK_LEVELS, axis=1)
    return result
