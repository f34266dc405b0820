"""Counts and days as sentences about stock hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 unit`, `1,200 units`; with `several` where an s does not make it, as in `1 unit is`, `2 units are`."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {several or f'{one}s'}"


def day_words(day: date, as_of: date) -> str:
    """`5 Nov`, with its year where that is another one."""
    text = f"{day.day} {_MONTHS[day.month - 1]}"
    return text if day.year == as_of.year else f"{text} {day.year}"
