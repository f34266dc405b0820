"""What goes into a reorder decision, and what it is reckoned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import IntArray

BindingConstraint = Literal["none", "minimum_order", "order_multiple", "maximum_order", "shelf_life", "supplier_minimum", "budget"]
Method = Literal["path_newsvendor", "order_up_to", "reorder_point", "reorder_quantity", "min_max", "days_of_cover"]
_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "min_max": ("min_qty", "max_qty"), "reorder_point": ("max_qty",),
    "reorder_quantity": ("reorder_qty",), "days_of_cover": ("cover_days",),
}  # fmt: skip


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
    """Units on their way and the day they are expected; None where nobody said.

    `po_line_id`, `po_id` and `supplier_id` name a line of a purchase order that was submitted and can still be changed.
    """

    expected_date: date | None
    open_qty: int
    po_line_id: str | None = None
    po_id: str | None = None
    supplier_id: str | None = None


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
    """What the supplier asks for, in minor units of its currency; a minimum of 0 means 1, a list price that is not known in it is None."""

    unit_cost_amount: int
    list_price_amount: int | None
    min_order_qty: int = 1
    order_multiple: int = 1
    max_order_qty: int | None = None


@dataclass(frozen=True, slots=True)
class ReorderPolicy:
    """How stock of one item at one location is kept.

    Attributes:
        service_level: Chance that an order is enough, at most: where money asks for less, less is ordered, never below the median.
        review_period_days: Days until the item is looked at again.
        holding_cost_rate: Cost of holding stock for a year as a share of its cost.
        method: path_newsvendor: the quantile of the units that an order has to bring, where what is missed is lost. order_up_to: up to
            the quantile of demand over lead and review time, where customers wait. reorder_point (s, S): at or below `min_qty`, or
            that quantile where it is None, up to `max_qty`. reorder_quantity (R, Q): at or below the same, whole multiples of
            `reorder_qty`. min_max: at or below `min_qty`, up to `max_qty`. days_of_cover: up to the mean demand of `cover_days`.
        min_qty, max_qty, reorder_qty, cover_days: In units and days, for the methods that take them.
        lost_sales_share: Share of the units missed that is lost for good; the rest is bought later all the same.
        critical_ratio: Quantile that is ordered; None: money and service level decide.
        min_fill_rate: Least share of demand in the order's own days to be met; for path_newsvendor.
        budget_amount: Most to spend in one round on all items with this `budget_rule`, in major units.
        version: Of the rule that set it; None is the setting's own.

    Raises ValueError where the method lacks a parameter, or they contradict each other.
    """

    service_level: float
    review_period_days: int
    holding_cost_rate: float
    method: Method = "path_newsvendor"
    min_qty: int | None = None
    max_qty: int | None = None
    reorder_qty: int | None = None
    cover_days: int | None = None
    lost_sales_share: float = 1.0
    critical_ratio: float | None = None
    min_fill_rate: float | None = None
    budget_amount: float | None = None
    budget_currency_code: str | None = None
    budget_rule: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        needed = _PARAMETERS.get(self.method, ())
        lacking = [name for name in needed if getattr(self, name) is None]
        if lacking:
            raise ValueError(f"{lacking[0]}: the method {self.method} needs it.")
        if self.max_qty is not None and self.max_qty < max(1, self.min_qty or 0):
            raise ValueError(f"max_qty: {self.max_qty} is below {max(1, self.min_qty or 0)}; nothing could be ordered.")
        if any(value is not None and value < 1 for value in (self.reorder_qty, self.cover_days)):
            raise ValueError("reorder_qty, cover_days: have to be at least 1.")
        if not 0.0 <= self.lost_sales_share <= 1.0:
            raise ValueError(f"lost_sales_share: {self.lost_sales_share} is no share; pass 0 to 1.")


@dataclass(frozen=True, slots=True)
class UnitMoney:
    """What one unit of an item stands for, in minor units of the supplier's currency.

    Attributes:
        shortage_amount: Of a unit missed: its margin times the share of sales that are lost; None where no margin is known.
        holding_amount: Of a unit held for a day: yearly rate times unit cost over 365.
        needs: What the source would have to provide for `shortage_amount`; None where it is known.
    """

    shortage_amount: float | None
    holding_amount: float
    needs: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """What the method asks for, before the supplier's terms.

    Attributes:
        raw_qty: Units to order, at or below 0 where stock is enough.
        ratio: The quantile that was taken; None for methods that take none.
        money_ratio: The quantile that money alone asks for; None where it is not known.
        base_qty: What the position is held against: a quantile or median of demand, a minimum, a maximum, days of cover; in units.
        trigger_qty: Position at or below which is ordered; None for methods that order whenever the base is higher.
        fill_qty: Units of `raw_qty` beyond the quantile, for the least fill rate.
        floor_qty: Least order with which the least fill rate is met; 0 without one.
    """

    raw_qty: int
    ratio: float | None
    money_ratio: float | None
    base_qty: float
    trigger_qty: int | None = None
    fill_qty: int = 0
    floor_qty: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """Units that rounding up would have ordered beyond what is ordered, because they cost more than they save.

    Attributes:
        qty: The pack, or the smallest order.
        saved_qty: Units of it that would be missed without it in the order's own days, in the mean.
        saved_amount: Their lost margin, in minor units.
        held_amount: What the others, left when the next review's order arrives, are weighed with, in minor units.
    """

    qty: int
    saved_qty: float
    saved_amount: float
    held_amount: float


@dataclass(frozen=True, slots=True)
class RoundedOrder:
    """A quantity a supplier accepts, the term that decided it, and what was left out for it."""

    qty: int
    smallest_qty: int
    binding_constraint: BindingConstraint
    declined: Declined | None = None


@dataclass(frozen=True, slots=True)
class ProtectionDemand:
    """Demand until an order placed at the next review could arrive, in units.

    Attributes:
        p50_qty: Its median.
        level_qty: Its quantile at the ratio of the policy, rounded up.
        daily_mean_qty: Mean demand a day over the same days.
    """

    p50_qty: float
    level_qty: int
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
        unavoidable_mean_qty: Units lost before an order placed now arrives; mean and median.
    """

    days: int
    latest_order_days: int
    stockout_probability: float
    lost_mean_qty: float
    lost_p50_qty: float
    lost_p90_qty: float
    unavoidable_mean_qty: float
    unavoidable_p50_qty: float
