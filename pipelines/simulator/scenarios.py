"""What kind of merchant is simulated: sizes and dates. Everything finer is drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Literal

BadDocumentKind = Literal["negative_quantity", "unknown_sku", "return_in_1970", "return_before_sale", "unknown_location"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place that holds stock, and its share of all demand."""

    location_id: str
    name: str
    location_type: Literal["store", "dc"]
    demand_rate: float


@dataclass(frozen=True, slots=True)
class BadDocument:
    """A document that is wrong on purpose, so that quarantine can be seen at work.

    `position` is where in the scenario's own days it was written: 0 is the first, 1 the last.
    """

    kind: BadDocumentKind
    position: float


DEFAULT_BAD_DOCUMENTS: Final = (
    BadDocument("negative_quantity", 0.22),
    BadDocument("unknown_sku", 0.41),
    BadDocument("return_in_1970", 0.58),
    BadDocument("return_before_sale", 0.74),
    BadDocument("unknown_location", 0.93),
)


@dataclass(frozen=True, slots=True)
class SupplierDelay:
    """A stretch of time in which goods ordered take `factor` times as long; positions as in `BadDocument`."""

    starts: float
    ends: float
    factor: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A merchant before the dice are thrown.

    `days` fixes the merchant's plans (launches, volumes) and never changes for a scenario; `continued_days` are the days
    lived through since. A merchant of the same scenario and seed has the same past, however many days follow it.

    `promotion_rate` multiplies the number of promotions, `noise` the spread of demand and of lead times; 1 leaves them as they are.
    `difference_rate` is the share of orders for each kind of difference planted between the merchant's books.
    """

    name: str
    start: date
    days: int
    skus: int
    orders: int
    customers: int
    suppliers: int
    places: tuple[Place, ...]
    categories: int = 8
    continued_days: int = 0
    lines_per_order: float = 2.2
    time_zone: str = "Europe/Berlin"
    currency: str = "EUR"
    bad_documents: tuple[BadDocument, ...] = DEFAULT_BAD_DOCUMENTS
    promotion_rate: float = 1.0
    noise: float = 1.0
    supplier_delay: SupplierDelay | None = None
    difference_rate: float = 0.0

    @property
    def total_days(self) -> int:
        """Days lived through, counted from `start`."""
        return self.days + self.continued_days

    @property
    def last_day(self) -> date:
        """The last local day lived through."""
        return self.start + timedelta(days=self.total_days - 1)

    @property
    def delay_days(self) -> tuple[int, int, float]:
        """First day of slow suppliers, the day on which it is over, and the factor; none where they are the same day."""
        delay = self.supplier_delay
        return (int(delay.starts * self.days), int(delay.ends * self.days), delay.factor) if delay else (0, 0, 1.0)

    def continued(self, days: int) -> Scenario:
        """The same merchant, `days` days older."""
        return replace(self, continued_days=self.continued_days + days)


_FOUR_PLACES: Final = (
    Place("LOC-CENTRAL", "Central", "dc", 0.46),
    Place("LOC-NORTH", "North", "store", 0.24),
    Place("LOC-SOUTH", "South", "store", 0.18),
    Place("LOC-WEST", "West", "store", 0.12),
)
_TWO_PLACES: Final = (Place("LOC-CENTRAL", "Central", "dc", 0.62), Place("LOC-NORTH", "North", "store", 0.38))

# As many as fit under the share of bad documents that blocks publishing (1 % of orders, and of returns): 54 orders and 14 returns.
_DIRTY_COUNTS: Final[dict[BadDocumentKind, int]] = {
    "negative_quantity": 18, "unknown_sku": 18, "unknown_location": 18, "return_in_1970": 7, "return_before_sale": 7,
}  # fmt: skip
_DIRTY: Final = tuple(BadDocument(kind, (number + 0.5) / count) for kind, count in _DIRTY_COUNTS.items() for number in range(count))
_HALF_YEAR: Final = Scenario(
    name="calm",
    start=date(2026, 5, 5),
    days=180,
    skus=40,
    orders=5_000,
    customers=1_400,
    suppliers=4,
    places=_TWO_PLACES,
    categories=5,
    bad_documents=(),
)

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="default", start=date(2024, 11, 1), days=730, skus=300, orders=100_000, customers=25_000, suppliers=8, places=_FOUR_PLACES
        ),
        Scenario(
            name="small",
            start=date(2026, 7, 4),
            days=120,
            skus=30,
            orders=2_000,
            customers=600,
            suppliers=3,
            places=_TWO_PLACES,
            categories=4,
        ),
        Scenario(
            name="large",
            start=date(2024, 11, 1),
            days=730,
            skus=1_000,
            orders=455_000,
            customers=110_000,
            suppliers=20,
            places=_FOUR_PLACES,
        ),
        replace(_HALF_YEAR, promotion_rate=0.0, noise=0.35),
        replace(_HALF_YEAR, name="promo", promotion_rate=8.0),
        replace(_HALF_YEAR, name="supplier_delay", supplier_delay=SupplierDelay(0.4, 0.7, 2.0)),
        replace(_HALF_YEAR, name="dirty", orders=8_000, bad_documents=_DIRTY, difference_rate=0.004),
    )
}
