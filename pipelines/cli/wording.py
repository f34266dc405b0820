"""Numbers and states as a person reads them: "EUR 12,340", "95.4 %", "-" for unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

    from pipelines.stores.metrics import MetricValue

STATUS_WORDS: Final = {
    "on_target": "On target",
    "watch": "Watch",
    "off_target": "Off target",
    "no_target": "No target",
    "no_data": "No data",
    "not_available": "Not available",
}
_STYLES: Final = {"on_target": "green", "watch": "yellow", "off_target": "red"}


def number(amount: float | Decimal | None, metric: MetricValue) -> str:
    """A value, target or prior of this metric with its unit."""
    if amount is None:
        return "-"
    match metric.unit:
        case "percent":
            return f"{float(amount):.1%}".replace("%", " %")
        case "money":
            return money(amount, metric.currency_code)
        case "days":
            return f"{float(amount):.1f} d"
        case _:
            return f"{float(amount):,.0f}"


def change(metric: MetricValue) -> str:
    """Against the prior period: rates in percentage points, money in percent, the rest in its unit."""
    if metric.value is None or metric.prior is None:
        return "-"
    difference = float(metric.value) - float(metric.prior)
    match metric.unit:
        case "percent":
            return f"{difference * 100:+.1f} pp"
        case "money":
            return "-" if not metric.prior else f"{difference / abs(float(metric.prior)):+.1%}".replace("%", " %")
        case "days":
            return f"{difference:+.1f} d"
        case _:
            return f"{difference:+,.0f}"


def status_words(metric: MetricValue) -> str:
    """The state in words, coloured where it means something."""
    style = _STYLES.get(metric.status)
    words = STATUS_WORDS.get(metric.status, metric.status)
    return f"[{style}]{words}[/{style}]" if style else words


def value_cells(metric: MetricValue) -> tuple[str, str, str, str, str]:
    """Value, target, status, prior and change, as every table of metrics shows them."""
    return number(metric.value, metric), number(metric.target, metric), status_words(metric), number(metric.prior, metric), change(metric)


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
