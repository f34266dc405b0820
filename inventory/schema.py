"""What goes into a reorder decision and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import FloatArray, IntArray

BindingConstraint = Literal["none", "minimum_order", "order_multiple", "maximum_order"]


@dataclass(frozen=True, slots=True)
class LeadTime:
    """How long a delivery of one item takes, from confirmation to receipt.

    Attributes:
        sample: Days, equally likely, sorted.
        basis: A phrase that says where they come from.
        note: What had to be corrected; None where nothing was.
    """

    sample: IntArray
    basis: str
    note: str | None = None

    def quantile(self, level: float) -> int:
        """The least number of days that is enough with this probability."""
        position = min(len(self.sample) - 1, max(0, -int(-level * len(self.sample) // 1) - 1))
        return int(self.sample[position])


@dataclass(frozen=True, slots=True)
class Inbound:
    """Units on their way and the day they are expected; None where nobody said."""

    expected_date: date | None
    open_qty: int


@dataclass(frozen=True, slots=True)
class Position:
    """Stock of one item at one location, in units.

    `on_hand_qty` includes committed, reserved and damaged units; `backorder_qty` is ordered, not shipped and not among the committed.
    """

    on_hand_qty: int
    committed_qty: int = 0
    reserved_qty: int = 0
    damaged_qty: int = 0
    backorder_qty: int = 0
    inbound: tuple[Inbound, ...] = ()

    @property
    def free_qty(self) -> int:
        """Units that can be sold; below zero they are owed. Negative stock on hand is a counting error and taken as 0."""
        return max(0, self.on_hand_qty) - self.committed_qty - self.reserved_qty - self.damaged_qty - self.backorder_qty


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What the supplier asks for. Money in minor units of one currency per unit.

    A minimum of 0 means 1. `list_price_amount` is None where no price in the supplier's currency is known.
    """

    unit_cost_amount: int
    list_price_amount: int | None
    min_order_qty: int = 1
    order_multiple: int = 1
    max_order_qty: int | None = None


@dataclass(frozen=True, slots=True)
class ReorderPolicy:
    """How stock is kept.

    Attributes:
        service_level: Chance that stock lasts over lead and review time.
        review_period_days: Days until the item is looked at again.
        holding_cost_rate: Cost of holding stock for a year as a share of its cost.
    """

    service_level: float
    review_period_days: int
    holding_cost_rate: float


@dataclass(frozen=True, slots=True)
class RoundedOrder:
    """A quantity a supplier accepts, and the term that decided it."""

    qty: int
    smallest_qty: int
    binding_constraint: BindingConstraint


@dataclass(frozen=True, slots=True)
class ProtectionDemand:
    """Demand until an order placed at the next review could arrive, in units.

    Attributes:
        p50_qty: Its median.
        order_up_to_qty: Its quantile at the service level, rounded up.
        daily_mean_qty: Mean demand a day over the same days.
    """

    p50_qty: float
    order_up_to_qty: int
    daily_mean_qty: float


@dataclass(frozen=True, slots=True)
class DemandOverride:
    """What a person expects instead of the forecast, as far as it bears on one decision.

    Attributes:
        override_ids: Those that hold within lead and review time.
        note: A sentence on each: who, when, how much and why.
        statistical_p50_qty: The median of `ProtectionDemand` without them, in units.
    """

    override_ids: tuple[str, ...]
    note: str
    statistical_p50_qty: float


@dataclass(frozen=True, slots=True)
class RunOut:
    """When stock ends if nothing is ordered, and what that loses before an order at the next review could help.

    Attributes:
        days: Median days until the first unit is missing, with what is on its way; 0 if nothing is free now.
        latest_order_days: Days that an order can wait, at most the review period, such that stock still lasts until it
            arrives at the service level; 0 where even an order placed now comes too late for that.
        stockout_probability: Chance that a unit is missing before an order placed at the next review arrives.
        lost_mean_qty: Units lost that an order placed now would save; mean, median and 90 % quantile.
    """

    days: int
    latest_order_days: int
    stockout_probability: float
    lost_mean_qty: float
    lost_p50_qty: float
    lost_p90_qty: float


@dataclass(frozen=True, slots=True)
class Reorder:
    """One reorder decision with all it was made from. Dates count from the as-of day; money in minor units.

    `order_by` is the last day on which ordering keeps the service level, `need_by` the day on which stock ends in the
    median, `expected_receipt` when an order of the as-of day arrives in the median. `priority_score` is the expected loss
    of waiting for the next review: margin, or unit cost where no margin is known (then the `cost_if_ignored` are None).
    `outlook_with_order` and `outlook_without_order` are from `stock_outlook`: p10, p50 and p90 of stock per day from the as-of day.
    """

    as_of: date
    protection: ProtectionDemand
    lead_time: LeadTime
    policy: ReorderPolicy
    position: Position
    terms: OrderTerms
    inbound_qty: int
    late_inbound_qty: int
    overdue_inbound_qty: int
    raw_qty: int
    rounded: RoundedOrder
    run_out: RunOut
    order_by: date
    need_by: date
    expected_receipt: date
    priority_score: float
    cost_if_ignored_p50_amount: int | None
    cost_if_ignored_p90_amount: int | None
    cost_if_accepted_amount: int
    outlook_with_order: FloatArray
    outlook_without_order: FloatArray
    override: DemandOverride | None = None

    @property
    def safety_stock_qty(self) -> float:
        """Units beyond median demand that the service level asks for."""
        return self.protection.order_up_to_qty - self.protection.p50_qty

    @property
    def is_dearer_than_waiting(self) -> bool:
        """Holding the order costs more than waiting is expected to lose."""
        return self.cost_if_accepted_amount > round(self.priority_score)
