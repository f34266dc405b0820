"""The quantity that only this order can supply: simulated demand through the stock there is and what is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from forecasting.schema import BoolArray, FloatArray, IntArray, PathArray
    from inventory.policy import Shortage

LEAST_UNITS: Final = 1e-6  # less than that is rounding, not a shortage
ROUNDING: Final = 1e-9  # of probabilities counted on paths


@dataclass(frozen=True, slots=True)
class Needs:
    """What an order decided now is for, per series; units.

    The order's own periods run from its arrival to the arrival of the one decided at the next review.

    Attributes:
        need: [series, path], rising along a series; what it takes to lose nothing in the order's own periods.
        demand_before: [series]; mean demand before the order arrives.
        demand_within: [series]; mean demand in the order's own periods.
        lost_before: [series]; mean demand lost before it arrives, which it cannot help; 0 where demand waits.
        inbound: [series]; mean of what is on its way and arrives by the end of its periods.
        stock_at_arrival: [series]; mean stock when it arrives and before it is added, below 0 where units are owed.
        stockout_rate: [series]; share of paths on which a unit is missing by the end of its periods if nothing is ordered.
    """

    need: FloatArray
    demand_before: FloatArray
    demand_within: FloatArray
    lost_before: FloatArray
    inbound: FloatArray
    stock_at_arrival: FloatArray
    stockout_rate: FloatArray

    @property
    def stock_beside(self) -> FloatArray:
        """[series]; for `inventory.rounding.pays_over_its_cycle`."""
        result: FloatArray = np.maximum(self.stock_at_arrival, 0.0) + self.demand_within / 2.0
        return result


def project_needs(
    paths: PathArray,
    *,
    on_hand: FloatArray,
    arriving: FloatArray,
    arrives: IntArray | int,
    until: IntArray | int,
    shortage: Shortage,
) -> Needs:
    """Demand run through the stock, period by period and path by path, without the order in question.

    With demand lost, the need of a path is what would be lost in the order's own periods, so that much of it is what the
    order can save; with demand that waits it is what would be owed at their end.

    Source: lost sales, the base of the myopic policy of Morton (1971), The near-myopic nature of the lagged-proportional-cost
    inventory problem with lost sales, Operations Research 19; backorders, Snyder and Shen (2019), section 4.3.

    Args:
        paths: [series, path, period] in units, period 0 being the next one.
        on_hand: [series]; stock now that can be sold, below 0 where units are owed.
        arriving: [period ahead, series]; what is there at the start of each coming period, already on its way.
        arrives: Period of the paths in which the order is sellable, one for all or [series, path]: the lead time.
        until: Period in which the next review's order is sellable; the lead plus the review time.
        shortage: What becomes of demand that is not met.
    """
    first, last = np.atleast_2d(arrives), np.atleast_2d(until)
    end = np.maximum(first, last)
    stock = np.repeat(on_hand[:, None].astype(np.float64), paths.shape[1], axis=1)
    before, within, lost_before, lost_within, inbound, at_arrival = (np.zeros_like(stock) for _ in range(6))
    at_end, is_short = stock.copy(), stock < -LEAST_UNITS
    for period in range(min(paths.shape[2], int(end.max()))):
        is_before, is_within, is_counted = period < first, (period >= first) & (period < last), period < end
        if period < len(arriving):
            stock += arriving[period][:, None]
            _add(inbound, arriving[period][:, None], is_counted)
        np.copyto(at_arrival, stock, where=period == first)
        demand = paths[:, :, period].astype(np.float64)
        missing = _serve(stock, demand, shortage)
        _add(before, demand, is_before)
        _add(within, demand, is_within)
        _add(lost_before, missing, is_before)
        _add(lost_within, missing, is_within)
        is_short |= is_counted & (missing > LEAST_UNITS)
        np.copyto(at_end, stock, where=is_counted)
    is_lost = shortage == "lost"
    owed = np.maximum(-at_end, 0.0)
    need = np.where(last > first, lost_within + owed, 0.0) if is_lost else owed
    return Needs(
        need=np.sort(need, axis=1),
        demand_before=before.mean(axis=1),
        demand_within=within.mean(axis=1),
        lost_before=lost_before.mean(axis=1) * is_lost,
        inbound=inbound.mean(axis=1),
        stock_at_arrival=at_arrival.mean(axis=1),
        stockout_rate=is_short.mean(axis=1),
    )


def _serve(stock: FloatArray, demand: FloatArray, shortage: Shortage) -> FloatArray:
    """Units that are missing in a period; what is sold leaves the stock, in place, and what waits is owed there."""
    missing: FloatArray = np.maximum(demand - np.maximum(stock, 0.0), 0.0)
    stock -= demand
    if shortage == "lost":
        stock += missing
    return missing


def _add(total: FloatArray, values: FloatArray, where: BoolArray) -> None:
    """In place, where asked for; a mask that is true or false throughout costs nothing."""
    if where.all():
        total += values
    elif where.any():
        np.add(total, values, out=total, where=where)


def need_quantile(need: FloatArray, ratio: FloatArray | float, *, is_whole: BoolArray | bool = True) -> FloatArray:
    """The least quantity that is enough on this share of the paths, [series].

    Args:
        need: [series, path], rising along a series.
        ratio: The share, one or [series]; 1 is the largest need of all paths.
        is_whole: Series sold in whole units take a need as it is, others lie between two needs.
    """
    count = need.shape[1]
    ratio = np.broadcast_to(np.asarray(ratio, dtype=np.float64), need.shape[:1])
    rows = np.arange(len(need))
    enough = np.clip(np.ceil(ratio * count - ROUNDING).astype(np.int64) - 1, 0, count - 1)
    place = np.clip(ratio * count - 0.5, 0.0, count - 1.0)
    low = np.floor(place).astype(np.int64)
    between = need[rows, low] + (place - low) * (need[rows, np.minimum(low + 1, count - 1)] - need[rows, low])
    result: FloatArray = np.where(ratio <= 0, 0.0, np.where(is_whole, need[rows, enough], between))
    return result


def fill_quantity(need: FloatArray, demand: FloatArray, fill_rate: FloatArray | float, *, is_whole: BoolArray | bool = True) -> FloatArray:
    """The least quantity with which this share of mean demand is met in the order's own periods, [series].

    Args:
        need: [series, path], rising along a series.
        demand: [series]; mean demand in these periods.
        fill_rate: The share, one or [series].
        is_whole: Of series sold in whole units, rounded up.
    """
    count = need.shape[1]
    allowed = (1.0 - np.broadcast_to(fill_rate, demand.shape)) * demand
    after = np.arange(count - 1, -1, -1)
    missing = (np.cumsum(need[:, ::-1], axis=1)[:, ::-1] - need - after * need) / count  # if so much were ordered as this path needs
    place = (missing > allowed[:, None] + LEAST_UNITS).sum(axis=1)
    rows = np.arange(len(need))
    spare = (allowed - missing[rows, np.minimum(place, count - 1)]) * count / (count - np.minimum(place, count - 1))
    quantity = np.maximum(need[rows, np.minimum(place, count - 1)] - np.maximum(spare, 0.0), 0.0)
    result: FloatArray = np.where(is_whole, np.ceil(quantity - LEAST_UNITS), quantity)
    return result
