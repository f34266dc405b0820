"""What comes out of a reorder decision: an order with all it was made from, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import date

    from forecasting.schema import FloatArray
    from inventory.choices import OrderChoice
    from inventory.schema import (
        Declined,
        DemandOverride,
        Inbound,
        LeadTime,
        OrderTerms,
        Position,
        ProtectionDemand,
        ReorderPolicy,
        RoundedOrder,
        RunOut,
        Target,
        UnitMoney,
    )

Silence = Literal["enough_stock", "not_wanted", "not_worth", "shelf_life", "budget"]
_ROUNDED_ANEW: Final = (
    "none",
    "minimum_order",
    "order_multiple",
    "maximum_order",
)  # of the supplier's terms, which any quantity is held to


@dataclass(frozen=True, slots=True)
class Reorder:
    """One reorder decision with all it was made from. Dates count from the as-of day; money in minor units, before rounding.

    `holding_amount` is holding the units that the order adds until they are sold, `lost_amount` what is lost all the same after it came;
    None where no margin is known. `need` is what an order would have to bring on each path, in units; `choices` are other quantities and
    what they come to.
    `outlook_with_order` and `outlook_without_order` are from `stock_outlook`: p10, p50 and p90 of stock per day from the as-of day.
    """

    as_of: date
    protection: ProtectionDemand
    lead_time: LeadTime
    policy: ReorderPolicy
    position: Position
    terms: OrderTerms
    money: UnitMoney
    target: Target
    rounded: RoundedOrder
    run_out: RunOut
    holding_amount: float
    lost_amount: float | None
    need: FloatArray
    choices: tuple[OrderChoice, ...]
    outlook_with_order: FloatArray
    outlook_without_order: FloatArray
    most_sold_fresh_qty: int | None = None
    override: DemandOverride | None = None

    @property
    def raw_qty(self) -> int:
        """Units to order, before the supplier's terms."""
        return self.target.raw_qty

    @property
    def expected_receipt(self) -> date:
        """When an order of the as-of day arrives in the median."""
        return self.as_of + timedelta(days=self.lead_time.quantile(0.5))

    @property
    def order_by(self) -> date:
        """The last day on which ordering keeps the service level."""
        return min(self.as_of + timedelta(days=self.run_out.latest_order_days), self.expected_receipt)

    @property
    def need_by(self) -> date:
        """The day on which stock ends in the median."""
        return self.as_of + timedelta(days=self.run_out.days)

    @property
    def in_time(self) -> tuple[Inbound, ...]:
        """What is expected within lead and review time."""
        return inbound_in_time(self.position, self.lead_time, self.policy, as_of=self.as_of)

    @property
    def inbound_qty(self) -> int:
        """Units expected within lead and review time; undated and overdue ones count."""
        return sum(one.open_qty for one in self.in_time)

    @property
    def late_inbound_qty(self) -> int:
        """Units that come later."""
        return sum(one.open_qty for one in self.position.inbound) - self.inbound_qty

    @property
    def priority_score(self) -> float:
        """The expected loss of waiting for the next review: margin, or unit cost where no margin is known."""
        unit = self.money.shortage_amount
        return self.run_out.lost_mean_qty * (self.terms.unit_cost_amount if unit is None else unit)

    @property
    def cost_if_ignored_p50_amount(self) -> int | None:
        """Margin that an order placed now would save, in the median; without what is lost before any order could arrive."""
        return None if self.money.shortage_amount is None else round(self.run_out.lost_p50_qty * self.money.shortage_amount)

    @property
    def cost_if_ignored_p90_amount(self) -> int | None:
        """The same in one case of ten."""
        return None if self.money.shortage_amount is None else round(self.run_out.lost_p90_qty * self.money.shortage_amount)

    @property
    def holding_cost_amount(self) -> int:
        """Holding the units that the order adds until they are sold."""
        return round(self.holding_amount)

    @property
    def cost_if_accepted_amount(self) -> int | None:
        """That, and what is lost all the same."""
        return None if self.lost_amount is None else round(self.holding_amount + self.lost_amount)

    @property
    def order_up_to_qty(self) -> int:
        """The inventory position that the order brings about, before terms that every order is rounded to.

        An order that was rounded down asks for half a pack less than it needs, so that rounding its position up, some sales later,
        comes to the same packs.
        """
        asked = self.raw_qty if self.rounded.binding_constraint in _ROUNDED_ANEW else self.rounded.qty
        if self.rounded.declined is not None:
            asked = min(self.rounded.qty, self.raw_qty - self.terms.order_multiple // 2)
        return asked + self.position.free_qty + self.inbound_qty

    @property
    def is_dearer_than_waiting(self) -> bool:
        """Holding the order costs more than waiting is expected to lose."""
        return self.cost_if_accepted_amount is not None and self.cost_if_accepted_amount > round(self.priority_score)


@dataclass(frozen=True, slots=True)
class NoOrder:
    """Why nothing is ordered for one item: kind and sentence, and the median days that stock lasts with what is on its way.

    `declined` is the smallest order where that is not worth its holding.
    """

    kind: Silence
    lasts_days: int
    reason: str
    declined: Declined | None = None


def inbound_in_time(position: Position, lead_time: LeadTime, policy: ReorderPolicy, *, as_of: date) -> tuple[Inbound, ...]:
    """What is on its way and expected within lead (median) and review time, or without a date."""
    until = as_of + timedelta(days=lead_time.quantile(0.5) + policy.review_period_days)
    return tuple(one for one in position.inbound if one.expected_date is None or one.expected_date <= until)
