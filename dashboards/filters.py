"""What a reader narrowed the pages to. It stands in the address, so that a copied link shows the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PERIODS: Final = (7, 28, 91, 364)
REPORT_PERIODS: Final = (28, 91, 364)  # trailing days that reports are told of; see macro report_periods
DEFAULT_DAYS: Final = 28
DIMENSIONS: Final = ("channel", "location", "category", "currency")
LABELS: Final = {"days": "Period", "channel": "Channel", "location": "Location", "category": "Category", "currency": "Order currency"}


@dataclass(frozen=True, slots=True)
class Filters:
    """The global filters. Nothing named in a dimension is all of it; members are ids, as metrics split by them."""

    days: int = DEFAULT_DAYS
    channel: tuple[str, ...] = ()
    location: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    currency: tuple[str, ...] = ()

    @property
    def where(self) -> dict[str, tuple[str, ...]]:
        """The dimensions that are narrowed, each with the members that count."""
        return {name: getattr(self, name) for name in DIMENSIONS if getattr(self, name)}

    @property
    def report_days(self) -> int:
        """The shortest period reports are told of that covers the chosen days, else their longest."""
        return next((period for period in REPORT_PERIODS if period >= self.days), REPORT_PERIODS[-1])

    def only(self, names: Iterable[str]) -> Filters:
        """The same filters as far as a page follows them; the others do not narrow it."""
        kept = set(names)
        return Filters(self.days if "days" in kept else DEFAULT_DAYS, *(getattr(self, name) if name in kept else () for name in DIMENSIONS))

    def as_export(self) -> dict[str, str]:
        """What an export says of them."""
        return {"days": str(self.days)} | {name: ", ".join(members) for name, members in self.where.items()}
