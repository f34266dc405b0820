"""The merchant's own buying: a careless periodic review by moving average, and suppliers who keep their word loosely."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.simulator.catalogue import NO_DAY
from pipelines.simulator.clock import DAY, HOUR, NEVER, BoolArray, Clock, FloatArray, IntArray, stacked, stream

if TYPE_CHECKING:
    from pipelines.simulator.catalogue import Catalogue

REVIEW_DAYS: Final = 7
_AVERAGE_DAYS: Final = 28
_COVER_DAYS: Final = 21
_MARGIN: Final = 1.2  # the buyer's rule of thumb for safety
_SKIP_RATE: Final = 0.12  # items overlooked at a review


@dataclass(frozen=True, slots=True)
class PurchaseLines:
    """One entry per ordered sku and location. Moments are local seconds.

    The first receipt brings `first_qty` and the second the rest; a second receipt at NEVER means the supplier gave up and
    the order was closed short with the first.
    """

    purchase_order: IntArray
    cell: IntArray
    quantity: IntArray
    first_qty: IntArray
    first_received: IntArray
    second_received: IntArray


@dataclass(frozen=True, slots=True)
class PurchaseOrders:
    """One entry per order at a supplier for one location. Moments are local seconds."""

    supplier: IntArray
    location: IntArray
    created: IntArray
    confirmed: IntArray
    expected: IntArray


@dataclass(slots=True)
class Buyer:
    """Reviews cells (sku x location) on the weekday of their supplier, and remembers every order placed."""

    catalogue: Catalogue
    clock: Clock
    seed: int
    plan: FloatArray  # units a day that the buyer expects of a cell without history
    places: int
    delay: tuple[int, int, float]  # first day of slow suppliers, the day on which it is over, and the factor on lead times
    orders_placed: int = 0
    _lines: list[PurchaseLines] = field(default_factory=list)
    _orders: list[PurchaseOrders] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.plan) != len(self.catalogue.skus) * self.places:
            raise ValueError("the plan needs one value per sku and location")

    def opening_stock(self) -> IntArray:
        """Units per cell on the first morning: half way between reorder point and target, more or less."""
        supplier, launched = self._spread(self.catalogue.supplier), self._spread(self.catalogue.launch_day) <= 0
        cover = self.catalogue.supplier_lead_days[supplier] + REVIEW_DAYS + _COVER_DAYS
        share = stream(self.seed, "opening").uniform(0.5, 1.3, len(self.plan))
        return np.where(launched, np.ceil(self.plan * cover * share), 0).astype(np.int64)

    def review(self, day: int, *, sold: IntArray, position: IntArray, backlog: IntArray) -> PurchaseLines | None:
        """Orders placed at the end of `day`, at most one for each supplier and location; None when nothing is short.

        Args:
            day: Local day.
            sold: Running total of units ordered up to the start of each day, as (day + 2) x cell.
            position: Units on hand, not promised, plus on order, minus backlog, per cell.
            backlog: Units customers wait for, per cell.
        """
        weekday = int(self.clock.weekday[day])
        supplier = self._spread(self.catalogue.supplier)
        is_due = self.catalogue.supplier_review_weekday[supplier] == weekday
        if not is_due.any():
            return None
        rng = stream(self.seed, "review", day)
        is_due &= rng.random(len(supplier)) >= _SKIP_RATE
        average = self.expected_daily(day, sold)
        lead = self.catalogue.supplier_lead_days[supplier]
        point = np.where(average > 0, np.maximum(average * (lead + REVIEW_DAYS) * _MARGIN, 1.0), 0.0)
        short = np.flatnonzero(is_due & ((position < point) | ((backlog > 0) & (position < 0))))
        if len(short) == 0:
            return None
        needed = np.ceil(point + average * _COVER_DAYS).astype(np.int64) - position
        return self._place(day, short, needed[short], supplier[short], rng)

    def history(self) -> tuple[PurchaseOrders, PurchaseLines]:
        """All orders and lines so far."""
        nothing = np.empty(0, dtype=np.int64)
        return stacked([PurchaseOrders(*[nothing] * 5), *self._orders]), stacked([PurchaseLines(*[nothing] * 6), *self._lines])

    def _spread(self, by_sku: IntArray) -> IntArray:
        return np.repeat(by_sku, self.places)

    def expected_daily(self, day: int, sold: IntArray) -> FloatArray:
        """Units a day that the buyer expects of each cell: the last four weeks' mean, the plan for what is new, nothing for what ends."""
        launch = self._spread(self.catalogue.launch_day)
        since = max(day + 1 - _AVERAGE_DAYS, 0)
        average = (sold[day + 1] - sold[since]) / _AVERAGE_DAYS
        age = day + 1 - np.maximum(launch, 0)
        lead = self.catalogue.supplier_lead_days[self._spread(self.catalogue.supplier)]
        is_near = age > -(lead + 14)
        average = np.where(age < _AVERAGE_DAYS, np.where(is_near, self.plan, 0.0), average)
        stopped = np.minimum(self._spread(self.catalogue.discontinued_day) - 40, NO_DAY)
        result: FloatArray = np.where(day >= stopped, 0.0, average)
        return result

    def _place(self, day: int, short: IntArray, needed: IntArray, supplier: IntArray, rng: np.random.Generator) -> PurchaseLines:
        catalogue, location = self.catalogue, short % self.places
        multiple = catalogue.order_multiple[short // self.places]
        quantity = np.maximum(np.maximum(needed, 1), catalogue.min_order_qty[short // self.places])
        quantity = -(-quantity // multiple) * multiple
        group, member = np.unique(supplier * self.places + location, return_inverse=True)
        of_supplier = group // self.places
        promised = catalogue.supplier_lead_days[of_supplier]
        spread = catalogue.supplier_lead_spread[of_supplier]
        factor = catalogue.supplier_lead_factor[of_supplier] * rng.gamma(1 / spread**2, spread**2)
        if self.delay[0] <= day < self.delay[1]:
            factor *= self.delay[2]
        arrival = self.clock.working_day(day + 1 + np.maximum(np.rint(promised * factor).astype(np.int64), 1))
        orders = PurchaseOrders(
            supplier=of_supplier,
            location=group % self.places,
            created=np.full(len(group), day * DAY + 16 * HOUR) + rng.integers(0, HOUR, len(group)),
            confirmed=(day + 1) * DAY + rng.integers(9 * HOUR, 16 * HOUR, len(group)),
            expected=(day + 1 + promised) * DAY + 12 * HOUR,
        )
        received = arrival * DAY + rng.integers(6 * HOUR, 11 * HOUR, len(group))
        of_order = self.orders_placed + member
        lines = self._split_receipts(rng, order=of_order, cell=short, quantity=quantity, multiple=multiple, received=received[member])
        self.orders_placed += len(group)
        self._orders.append(orders)
        self._lines.append(lines)
        return lines

    def _split_receipts(
        self, rng: np.random.Generator, *, order: IntArray, cell: IntArray, quantity: IntArray, multiple: IntArray, received: IntArray
    ) -> PurchaseLines:
        """Most lines arrive whole; some in two parts, and a few never complete."""
        part = np.rint(quantity * rng.uniform(0.3, 0.8, len(quantity)) / multiple).astype(np.int64) * multiple
        fate = rng.random(len(quantity))
        is_split: BoolArray = (fate < 0.07) & (part > 0) & (part < quantity)
        later = self.clock.working_day(received // DAY + 2 + rng.integers(1, 14, len(quantity))) * DAY + received % DAY
        return PurchaseLines(
            purchase_order=order,
            cell=cell,
            quantity=quantity,
            first_qty=np.where(is_split, part, quantity),
            first_received=received,
            second_received=np.where(is_split & (fate >= 0.012), later, NEVER),
        )
