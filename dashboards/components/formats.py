"""How numbers, money, dates and ages read on every page. Unknown is "-", zero is a measured zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipelines.decisions.wording import asked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, timedelta
    from decimal import Decimal

UNKNOWN: Final = "-"
SMALL_SAMPLE: Final = 30  # below this many cases a figure says how many they were
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_units(value: float | None) -> str:
    """Whole units with thousands: `1,234`."""
    return UNKNOWN if value is None else f"{_no_negative_zero(value, 0):,.0f}"


def format_money(value: float | Decimal | None, currency_code: str) -> str:
    """Money without minor units: `EUR 12,340`."""
    return UNKNOWN if value is None else f"{currency_code} {_no_negative_zero(value, 0):,.0f}"


def format_price(value: float | Decimal | None, currency_code: str | None) -> str:
    """Money to the cent, where it is about one order or unit: `EUR 3.60`."""
    return UNKNOWN if value is None else f"{currency_code or ''} {value:,.2f}".strip()


def format_percent(rate: float | None) -> str:
    """A share of one as percent: `91.3 %`."""
    return UNKNOWN if rate is None else f"{_no_negative_zero(float(rate) * 100, 1):,.1f} %"


def format_days(value: float | None) -> str:
    """A duration: `2.1 days`."""
    return UNKNOWN if value is None else f"{_no_negative_zero(value, 1):,.1f} days"


def format_number(value: float | None) -> str:
    """A plain figure with one decimal: `9.4`."""
    return UNKNOWN if value is None else f"{_no_negative_zero(value, 1):,.1f}"


def format_date(day: date | None, *, today: date) -> str:
    """A day as people say it: `Sun 20 Nov`, with its year where that is not the year of `today`."""
    if day is None:
        return UNKNOWN
    text = f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == today.year else f"{text} {day.year}"


def asked_words(row: Mapping[str, Any], *, today: date) -> str:
    """What a suggestion asks for, or what was decided of it: `Move 60 from South`."""
    return asked(row, qty=row["qty"], source=row["source"], day=lambda day: format_date(day, today=today))


def format_change(value: float, unit: str) -> str:
    """A signed change: `-3.1 pp`; a change that rounds to nothing has no sign."""
    rounded = _no_negative_zero(value, 1)
    return f"{rounded:+,.1f} {unit}" if rounded else f"0.0 {unit}"


def format_count(count: int, noun: str) -> str:
    """`1 item`, `1,204 items`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_kinds(count_by_kind: Mapping[str, int], *, cost: str) -> str:
    """What suggestions ask for, counted: `2 orders for EUR 3,920, 1 transfer`; `cost` is what the orders come to, "" where not known."""
    said = []
    for kind, count in count_by_kind.items():
        one, several = _KIND_WORDS.get(kind, (kind, kind))
        priced = f" for {cost}" if kind == "purchase" and cost else ""
        said.append(f"{count:,} {one if count == 1 else several}{priced}")
    return ", ".join(said)


def format_age(age: timedelta) -> str:
    """How long ago in one unit: `14 min`, `5 h`, `3 days`."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60):,} days"


def format_amount(value: float | Decimal | None, unit: str, currency_code: str) -> str:
    """An amount in a metric's unit; money names its currency."""
    number = None if value is None else float(value)
    match unit:
        case "percent":
            return format_percent(number)
        case "days":
            return format_days(number)
        case "hours" | "minutes":
            return UNKNOWN if number is None else f"{format_number(number)} {unit}"
        case "number":
            return format_number(number)
        case "money":
            return format_money(number, currency_code)
        case _:
            return format_units(number)


def format_change_of(change: float | None, before: float | None, unit: str) -> str | None:
    """A metric's change: `-3.1 pp` for rates, `-0.2 days`, `+4.2 %` of what it was for sums; None where either is unknown."""
    if change is None:
        return None
    match unit:
        case "percent":
            return format_change(change * 100, "pp")
        case "days" | "hours" | "minutes":
            return format_change(change, unit)
        case "number":
            return format_change(change, "").strip()
        case _:
            return format_change(100 * change / before, "%") if before is not None and before > 0 else None


def format_sample(count: float | None) -> str:
    """`n = 17` where so few cases should be known to the reader; empty otherwise."""
    return f"n = {count:,.0f}" if count is not None and count < SMALL_SAMPLE else ""


def spoken(name: str) -> str:
    """A dimension, domain or field as it is said, in labels and addresses alike: `abc class`."""
    return name.replace("_", " ")


def escape_markdown(text: str) -> str:
    """Text from data as it stands: nothing in it becomes a link, an image, an icon or emphasis on a page."""
    return "".join(f"\\{character}" if character in _MARKDOWN else character for character in text)


_KIND_WORDS: Final = {
    "purchase": ("order", "orders"), "transfer": ("transfer", "transfers"),
    "expedite": ("delivery to pull forward", "deliveries to pull forward"), "defer": ("delivery to put off", "deliveries to put off"),
    "cancel_po": ("delivery to cancel", "deliveries to cancel"), "allocate": ("shortage to share", "shortages to share"),
}  # fmt: skip
_MARKDOWN: Final = frozenset("\\`*_{}[]()<>#+!|~$:&")


def _no_negative_zero(value: float | Decimal, digits: int) -> float:
    return round(float(value), digits) + 0.0
