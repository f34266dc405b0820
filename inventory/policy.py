"""How stock is kept: what a shortage and what stock costs, when orders are decided, and what a supplier accepts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from forecasting.matrix import SeriesMatrix
    from forecasting.schema import FloatArray

Shortage = Literal["lost", "backorder"]

SHORTAGES: Final[tuple[Shortage, ...]] = ("lost", "backorder")
LOST_SALES_HOLDING: Final = 1.5  # times the holding cost: where demand is lost, the next order need not make up for it
LONGEST_LEAD: Final = 1_000  # periods; more is a mistake of units
LARGEST_QTY: Final = 1e12  # units; more is no quantity of goods


@dataclass(frozen=True, slots=True)
class Policy:
    """What to weigh and what to keep to when orders are decided.

    An order decided at the end of period t with `lead_periods` L is there at the start of period t + L + 1; orders are decided every
    `review_periods`. What arrives in a period is there at its start; then comes demand; what cannot be met is lost, or
    waits; then stock is counted and costed.

    Attributes:
        review_periods: Periods from one decision to the next.
        lead_periods: Full periods between the decision and the period in which the order is sellable.
        shortage: "lost" or "backorder", what becomes of demand that is not met.
        holding_cost: Per unit left at the end of a period.
        shortage_cost: Per unit of demand not met; in backorders per unit and period that it waits.
        critical_ratio: The quantile of the need that is ordered; None takes `starting_ratio`, `tune_policy` finds a better one.
        min_fill_rate: Share of demand that is to be met at least; None is no floor.
        pack_qty: Orders are multiples of it.
        min_order_qty: The least that can be ordered at once, where anything is.
        max_order_qty: The most; None is no limit.
        budget_amount: The most that all orders of one decision may cost together, in the unit of `unit_cost` of the items; None is
            no limit.

    Raises:
        ValueError: A field is of another kind or out of its range; the message names it.
    """

    review_periods: int = 1
    lead_periods: int = 2
    shortage: Shortage = "lost"
    holding_cost: float = 0.2
    shortage_cost: float = 1.0
    critical_ratio: float | None = None
    min_fill_rate: float | None = None
    pack_qty: int = 1
    min_order_qty: float = 0
    max_order_qty: float | None = None
    budget_amount: Decimal | float | None = None

    def __post_init__(self) -> None:
        _check_whole("review_periods", self.review_periods, least=1)
        _check_whole("lead_periods", self.lead_periods, least=0)
        _check_whole("pack_qty", self.pack_qty, least=1)
        if self.shortage not in SHORTAGES:
            raise ValueError(f"shortage: {self.shortage!r} is not known; pass 'lost' or 'backorder'.")
        if self.lead_periods > LONGEST_LEAD or self.review_periods > LONGEST_LEAD:
            raise ValueError(f"lead_periods, review_periods: more than {LONGEST_LEAD} periods; check their unit.")
        for name in ("holding_cost", "shortage_cost", "min_order_qty"):
            _check_amount(name, getattr(self, name))
        for name in ("max_order_qty", "budget_amount"):
            if getattr(self, name) is not None:
                _check_amount(name, getattr(self, name))
        for name in ("critical_ratio", "min_fill_rate"):
            if getattr(self, name) is not None:
                _check_share(name, getattr(self, name))
        if self.holding_cost == 0 and self.shortage_cost == 0:
            raise ValueError("holding_cost, shortage_cost: both are 0, so nothing can be weighed; pass at least one above 0.")
        self._check_terms()

    def _check_terms(self) -> None:
        """Some quantity can be ordered at all."""
        if self.max_order_qty is None:
            return
        smallest = -(-max(self.min_order_qty, 1e-9) // self.pack_qty) * self.pack_qty
        if self.max_order_qty // self.pack_qty * self.pack_qty < smallest:
            raise ValueError(
                f"max_order_qty: at most {self.max_order_qty} in packs of {self.pack_qty} is below the smallest order of {smallest:g}; "
                "raise the maximum or lower pack_qty and min_order_qty."
            )

    @property
    def starting_ratio(self) -> float:
        """The critical ratio as costs alone have it: p / (p + h R) where demand waits, p / (p + 1.5 h R) where it is lost; see below."""
        return starting_ratio(self.holding_cost * self.review_periods, self.shortage_cost, shortage=self.shortage)


def starting_ratio(holding_cost: float, shortage_cost: float, *, shortage: Shortage) -> float:
    """The critical ratio p / (p + h) where demand waits, p / (p + 1.5 h) where it is lost; h holds a unit from one review to the next.

    Source: Snyder and Shen (2019), Fundamentals of Supply Chain Theory, equation 4.8; 1.5 is a finding of the project's own
    (docs/methods/inventory-reorder.md).
    """
    times = LOST_SALES_HOLDING if shortage == "lost" else 1.0
    return float(shortage_cost / (shortage_cost + times * holding_cost))


class OrderRule(Protocol):
    """What orders at the end of a period, for all series at once."""

    def order(self, state: ReplayState) -> FloatArray:
        """[series] in raw units, before packs and minimum; 0 where nothing is ordered, never below it."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayState:
    """What a shop knows when it decides.

    Attributes:
        period: Index of the period that has just ended.
        on_hand: [series] at its end, in units; below 0 are backorders.
        arriving: [periods ahead, series]; row 0 is there at the start of the next period.
        known: Demand seen so far, censored where stock had run out.
    """

    period: int
    on_hand: FloatArray
    arriving: FloatArray
    known: SeriesMatrix


def _check_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name}: has to be a whole number of at least {least}, got {value!r}.")


def _check_amount(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: has to be a finite number of at least 0, got {value!r}.")


def _check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name}: has to lie between 0 and 1, got {value!r}.")
