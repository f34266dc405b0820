"""Demand over a random lead time and the review period, and what runs out meanwhile, from simulated paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from inventory.schema import ProtectionDemand, RunOut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from forecasting.schema import FloatArray, IntArray, PathArray
    from inventory.schema import Inbound, LeadTime, Position

LEAST_UNITS: Final = 1e-3  # what is less is rounding
ROUNDING: Final = 1e-9  # 1 - 0.9 is a little less than 0.1
UNKNOWN_DAYS: Final = 3650  # stock that nobody takes lasts for ever; ten years say so in a date


@dataclass(frozen=True, slots=True)
class Courses:
    """One item's demand, and its supply without a new order, followed on the same simulated paths; units.

    Attributes:
        cumulative: From `cumulative_demand`, [day + 1, path]; row 1 is the day after the as-of day.
        supply: From `supply_by_day`, [day + 1].
        lost: From `lost_units` for these, [day + 1, path].
        lead_days: Days until an order placed now arrives, one per path; it can be sold on the day after.
        review_period_days: Days until the next look.
    """

    cumulative: FloatArray
    supply: FloatArray
    lost: FloatArray
    lead_days: IntArray
    review_period_days: int

    @classmethod
    def follow(
        cls, paths: PathArray, *, position: Position, lead_time: LeadTime, review_period_days: int, as_of: date, seed: int
    ) -> Courses:
        """The courses of [path, day] units per day.

        Raises:
            ValueError: The paths are shorter than the longest lead time plus the review period.
        """
        longest = int(lead_time.sample[-1]) + review_period_days
        if paths.shape[1] < longest:
            raise ValueError(f"paths: hold {paths.shape[1]} days and lead plus review time is up to {longest}; simulate that many periods.")
        cumulative = cumulative_demand(paths)
        supply = supply_by_day(paths.shape[1], free_qty=position.free_qty, inbound=position.inbound, as_of=as_of)
        lead_days = pair_lead_times(lead_time, paths=paths.shape[0], seed=seed)
        return cls(cumulative, supply, lost_units(cumulative, supply), lead_days, review_period_days)

    @property
    def own_demand_qty(self) -> float:
        """Mean demand between an order's arrival and the next one's."""
        paths = np.arange(len(self.lead_days))
        own = self.cumulative[self.lead_days + self.review_period_days, paths] - self.cumulative[self.lead_days, paths]
        return float(own.mean())

    @property
    def stock_beside_qty(self) -> float:
        """For `inventory.rounding.pays_over_its_cycle`."""
        paths = np.arange(len(self.lead_days))
        left = np.maximum(self.supply, 0.0)[self.lead_days] - self.cumulative[self.lead_days, paths] + self.lost[self.lead_days, paths]
        return float(left.mean()) + self.own_demand_qty / 2.0


def pair_lead_times(lead_time: LeadTime, *, paths: int, seed: int) -> IntArray:
    """One lead time per path, in days: the sample's quantiles in an order that does not depend on their values.

    So a sample that is longer everywhere is longer on every path, and demand over it never smaller.
    """
    ranks = np.random.default_rng(seed).permutation(paths)
    positions = (ranks + 0.5) / paths * len(lead_time.sample)
    result: IntArray = lead_time.sample[np.floor(positions).astype(np.int64)]
    return result


def cumulative_demand(paths: PathArray) -> FloatArray:
    """Demand from the first day through each day, [day + 1, path] in units; row 0 is before the first day.

    Args:
        paths: [path, day], in units per day.
    """
    by_day = paths.T.astype(np.float64)
    result = np.zeros((by_day.shape[0] + 1, by_day.shape[1]))
    for day in range(by_day.shape[0]):  # four times as fast as cumsum, which walks down one path after the other
        np.add(result[day], by_day[day], out=result[day + 1])
    return result


def protection_demand(cumulative: FloatArray, *, lead_days: IntArray, review_period_days: int, service_level: float) -> ProtectionDemand:
    """What stock has to last for: demand until an order placed at the next review could arrive.

    Source: Snyder and Shen, Fundamentals of Supply Chain Theory (2nd ed.), chapter 4: a base stock covers the
    quantile of demand over lead time plus review period; here the quantile is empirical and the lead time random.

    Args:
        cumulative: From `cumulative_demand`, at least as long as any lead time plus the review period.
        lead_days: Days, one per path.
        review_period_days: Days until the next look.
        service_level: Probability that the quantity is enough.
    """
    days = lead_days + review_period_days
    total = cumulative[days, np.arange(cumulative.shape[1])]
    # a quantile of 20.000001 units is a rounding error, not a 21st unit
    level = int(np.ceil(np.quantile(total, service_level, method="inverted_cdf") - LEAST_UNITS))
    return ProtectionDemand(
        p50_qty=float(np.quantile(total, 0.5)), level_qty=max(0, level), daily_mean_qty=float(total.sum() / max(1, days.sum()))
    )


def supply_by_day(days: int, *, free_qty: int, inbound: Sequence[Inbound], as_of: date) -> FloatArray:
    """Units that are there or have come by each day without a new order, [day + 1]; row 0 is the end of the as-of day.

    Args:
        days: Days ahead.
        free_qty: Units that can be sold; negative if units are owed.
        inbound: Dated deliveries; undated or overdue units count from the first day.
        as_of: Last complete day.
    """
    supply = np.full(days + 1, float(free_qty))
    for arriving in inbound:
        offset = 1 if arriving.expected_date is None else max(1, (arriving.expected_date - as_of).days)
        supply[offset:] += arriving.open_qty
    return supply


def lost_units(cumulative: FloatArray, supply: FloatArray) -> FloatArray:
    """Units missed through each day, [day + 1, path]: the highest cumulative demand over cumulative supply so far.

    What is missed once is not missed again when more arrives. Units owed already are not among them.

    Args:
        cumulative: From `cumulative_demand`.
        supply: From `supply_by_day`, [day + 1], or [day + 1, path] where an order arrives on a day of its own on each path.
    """
    owned = np.maximum(supply, 0.0)
    result: FloatArray = np.maximum.accumulate(np.maximum(cumulative - (owned[:, None] if owned.ndim == 1 else owned), 0.0), axis=0)
    return result


def units_to_bring(courses: Courses) -> FloatArray:
    """Units that an order placed now would have to bring on each path, [path], where what is missed is lost.

    Missed through lead time plus review period, less what is missed before the order arrives, which no order brings back; and what is
    owed to customers and not covered by what is on its way.

    Source: Zipkin (2008), Old and new methods for lost-sales inventory systems, Operations Research 56, for stock seen through the
    orders that are on their way; the quantile of it at the critical ratio is the order of `docs/methods/inventory-daily.md`.
    """
    lost, paths, until = courses.lost, np.arange(len(courses.lead_days)), courses.lead_days + courses.review_period_days
    result: FloatArray = lost[until, paths] - lost[courses.lead_days, paths] + np.maximum(-courses.supply[until], 0.0)
    return result


def run_out(courses: Courses, *, service_level: float) -> RunOut:
    """When stock ends without a new order, and what that loses.

    What an order placed now saves is the loss through lead time plus review period less the loss through the lead time, which nothing
    ordered today can prevent. An order can wait as long as, when it arrives, a unit has been missed on no more paths than the service
    level leaves; waiting longer never makes that fewer.

    Args:
        courses: Demand, supply and losses.
        service_level: Probability that stock lasts until the order arrives.
    """
    lost, supply, lead_days = courses.lost, courses.supply, courses.lead_days
    paths = np.arange(len(lead_days))
    waits = np.arange(courses.review_period_days + 1)[:, None]
    missed_rate = (lost[lead_days + waits, paths] > LEAST_UNITS).mean(axis=1)
    unavoidable = lost[lead_days, paths]
    saved = lost[lead_days + courses.review_period_days, paths] - unavoidable
    return RunOut(
        days=_median_days(lost, courses.cumulative, supply),
        # without stock now units are missed whatever is ordered, even if more arrives tomorrow
        latest_order_days=0 if supply[0] <= 0 else max(0, int((missed_rate <= 1.0 - service_level + ROUNDING).sum()) - 1),
        stockout_probability=float(missed_rate[-1]),
        lost_mean_qty=float(saved.mean()),
        lost_p50_qty=float(np.quantile(saved, 0.5)),
        lost_p90_qty=float(np.quantile(saved, 0.9)),
        unavoidable_mean_qty=float(unavoidable.mean()),
        unavoidable_p50_qty=float(np.quantile(unavoidable, 0.5)),
    )


def _median_days(lost: FloatArray, cumulative: FloatArray, supply: FloatArray) -> int:
    """Whole days that stock lasts on the median path."""
    if supply[0] <= 0:
        return 0
    short = lost > LEAST_UNITS
    lasting = np.where(short[-1], np.argmax(short, axis=0) - 1, UNKNOWN_DAYS)
    median = int(np.sort(lasting)[(len(lasting) - 1) // 2])
    if median < UNKNOWN_DAYS:
        return max(0, median)
    # beyond the simulated days stock is used up at the mean rate
    rate = _daily_mean(cumulative)
    return int(min(supply[-1] / rate, UNKNOWN_DAYS)) if rate > 0 else UNKNOWN_DAYS


def _daily_mean(cumulative: FloatArray) -> float:
    return float(cumulative[-1].mean() / (cumulative.shape[0] - 1))
