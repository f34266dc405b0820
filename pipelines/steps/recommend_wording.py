"""Amounts as sentences about suggestions hold them."""

from __future__ import annotations

from pipelines.stores.metrics_values import major_units


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
