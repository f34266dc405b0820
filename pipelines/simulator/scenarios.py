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
class Scenario:
    """A merchant before the dice are thrown.

    `days` fixes the merchant's plans (launches, volumes) and never changes for a scenario; `continued_days` are the days
    lived through since. A merchant of the same scenario and seed has the same past, however many days follow it.
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

    @property
    def total_days(self) -> int:
        """Days lived through, counted from `start`."""
        return self.days + self.continued_days

    @property
    def last_day(self) -> date:
        """The last local day lived through."""
        return self.start + timedelta(days=self.total_days - 1)

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
    )
}
