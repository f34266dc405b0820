"""What an order's stage, cause and promise are called on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dashboards.components.formats import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

CAUSES: Final = {"payment_hold": "payment", "no_product": "a product that is gone", "no_stock": "stock"}
WAITS: Final = {1: "approval", 2: "release to the warehouse", 3: "shipment", 4: "the rest of its units", 5: "arrival"}  # by stage_number
BASES: Final = {
    "confirmed": "confirmed by the shop", "requested": "the day the customer asked for", "derived": "derived from the service level",
}  # fmt: skip


def waits_for(stage_number: int, cause: str | None) -> str:
    """What an open order waits for: its cause where one is known, else the next step."""
    return WAITS.get(stage_number, "") if cause is None else CAUSES.get(cause, cause)


def outcome(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Icon, colour and words of how an order stands."""
    if facts["is_cancelled"]:
        reason = facts["cancel_reason"] or "unknown"
        return "cancel", "red", "Cancelled" + ("" if reason == "unknown" else f": {reason.replace('_', ' ')}")
    if facts["delivered_date"] is not None:
        return _arrival((facts["delivered_date"] - facts["promised_delivery_date"]).days)
    if facts["closed_at"] is not None:
        return "block", "gray", "Closed, not all of it arrived"
    if not facts["is_open"]:
        return "check_circle", "gray", "Nothing to deliver"
    what = f", waits for {waits_for(facts['stage_number'], facts['cause'])}" if "stage_number" in facts else ""
    return "hourglass_top", "orange", f"Open{what}"


def _arrival(late_days: int) -> tuple[str, str, str]:
    if late_days > 0:
        return "schedule", "red", f"Arrived {format_count(late_days, 'day')} late"
    return "check_circle", "green", "Arrived on the promised day" if late_days == 0 else f"Arrived {format_count(-late_days, 'day')} early"
