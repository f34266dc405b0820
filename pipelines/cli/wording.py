"""Numbers and states as a person reads them: "EUR 12,340", "95.4 %", "-" for unknown."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from pipelines.stores.metrics import MetricValue

STATUS_WORDS: Final = {
    "on_target": "On target",
    "watch": "Watch",
    "off_target": "Off target",
    "no_target": "No target",
    "no_data": "No data",
    "not_available": "Not available",
    "blocked": "Blocked",
}
_STYLES: Final = {"on_target": "green", "watch": "yellow", "off_target": "red", "blocked": "red"}
# How a unit is written behind a figure, and how many decimals it has.
_SHORT_UNITS: Final = {"days": " d", "hours": " h", "minutes": " min", "number": ""}


class Measured(Protocol):
    """What an amount is in."""

    @property
    def unit(self) -> str:
        """As the catalogue has it: days, percent, money, ..."""

    @property
    def currency_code(self) -> str | None:
        """Of money only."""


def number(amount: float | Decimal | None, metric: Measured) -> str:
    """A value, target or prior of this metric with its unit."""
    if amount is None:
        return "-"
    match metric.unit:
        case "percent":
            return f"{float(amount):.1%}".replace("%", " %")
        case "money":
            digits = 2 if 0 < abs(float(amount)) < 100 else 0  # an amount per order is small enough for its cents to matter
            return f"{metric.currency_code or ''} {float(amount):,.{digits}f}".strip()
        case unit if unit in _SHORT_UNITS:
            return f"{float(amount):,.{decimals(amount)}f}{_SHORT_UNITS[unit]}"
        case _:
            return f"{float(amount):,.0f}"


def change(metric: MetricValue, earlier: float | Decimal | None) -> str:
    """Against an earlier value: rates in percentage points, money in percent, the rest in its unit."""
    return difference(metric.value, earlier, metric)


def difference(value: float | Decimal | None, earlier: float | Decimal | None, metric: Measured) -> str:
    """As `change` says it, for two values of this metric."""
    if value is None or earlier is None:
        return "-"
    more = float(value) - float(earlier)
    match metric.unit:
        case "percent":
            return f"{more * 100:+.1f} pp"
        case "money":
            return "-" if not earlier else f"{more / abs(float(earlier)):+.1%}".replace("%", " %")
        case unit if unit in _SHORT_UNITS:
            return f"{more:+,.{decimals(value)}f}{_SHORT_UNITS[unit]}"
        case _:
            return f"{more:+,.0f}"


def decimals(amount: float | Decimal) -> int:
    """How many decimals a figure is worth: two below one, where one would hide too much of it, else one."""
    return 2 if 0 < abs(float(amount)) < 1 else 1


def exact(amount: float, unit: str, currency_code: str | None) -> str:
    """What a person set, as they set it and with its unit: "97.25 %", "EUR 12,500"."""
    match unit:
        case "percent":
            return f"{amount * 100:,.10g} %"
        case "money":
            return f"{currency_code or ''} {amount:,.10g}".strip()
        case _:
            return f"{amount:,.10g}{_SHORT_UNITS.get(unit, '')}"


def heading(domain: str) -> str:
    """A domain's name above its metrics: "Customer status"."""
    return domain.replace("_", " ").capitalize()


def mid_sentence(text: str) -> str:
    """A sentence as part of another; a name in capitals stays one."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def status_words(metric: MetricValue) -> str:
    """The state in words, coloured where it means something."""
    style = _STYLES.get(metric.status)
    words = STATUS_WORDS.get(metric.status, metric.status)
    return f"[{style}]{words}[/{style}]" if style else words


def value_cells(metric: MetricValue) -> tuple[str, str, str, str, str]:
    """Value, target, status, prior and change, as every table of metrics shows them."""
    return (
        number(metric.value, metric),
        number(metric.target, metric),
        status_words(metric),
        number(metric.prior, metric),
        change(metric, metric.prior),
    )


def period(metric: MetricValue) -> str:
    """How many days, up to which; none where all days asked for are too young to judge."""
    if metric.period_to < metric.period_from:
        return "-"
    return f"{(metric.period_to - metric.period_from).days + 1:,} d to {metric.period_to:%-d %b %Y}"


def money(amount: float | Decimal | None, currency_code: str | None) -> str:
    """An amount in major units, without minor units."""
    return "-" if amount is None else f"{currency_code or ''} {float(amount):,.0f}".strip()


def quantity(units: int | None) -> str:
    """Whole units with thousands."""
    return "-" if units is None else f"{units:,}"


def counted(count: int, noun: str) -> str:
    """`1 item`, `1,200 items`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def reasons_counted(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Kinds of reasons, most frequent first; numbers differ from item to item, so the sentence without them is the kind."""
    counts = Counter(re.sub(r"\d[\d-]*", "N", reason) for reason in reasons)
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))
