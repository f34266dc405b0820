"""Amounts and days as sentences about suggestions hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.stores.metrics_values import major_units

if TYPE_CHECKING:
    from datetime import date

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def money_words(amount: float | None, currency_code: str, *, needs: str | None = None) -> str:
    """`EUR 1,240`, below 100 with its cents; what is not known says what it needs.

    Args:
        amount: Minor units.
        currency_code: Of the amount.
        needs: What the source would have to provide.
    """
    if amount is None:
        return f"not available: needs {needs or 'a margin'}"
    major = major_units(round(amount), currency_code)
    return f"{currency_code} {major:,.2f}" if 0 < abs(major) < 100 else f"{currency_code} {major:,.0f}"


def day_words(day: date, as_of: date) -> str:
    """`5 Nov`, with its year where that is another one."""
    text = f"{day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == as_of.year else f"{text} {day.year}"


def unit_words(qty: int) -> str:
    """`1 unit`, `1,200 units`."""
    return "1 unit" if qty == 1 else f"{qty:,} units"


def days_words(days: int) -> str:
    """`1 day`, `1,200 days`."""
    return "1 day" if days == 1 else f"{days:,} days"
