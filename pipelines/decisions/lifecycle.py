"""The life of a recommendation: its statuses, what may happen in each, and why a person may reject one."""

from __future__ import annotations

from typing import Final, Literal, cast

from pipelines.errors import DecisionError

Status = Literal["proposed", "approved", "applied", "closed", "snoozed", "rejected", "expired", "superseded", "stale", "failed"]
Action = Literal["approve", "reject", "snooze", "undo", "wait", "mark_stale", "wake", "apply", "close", "fail", "expire", "supersede"]
DecisionAction = Literal["approve", "reject", "snooze", "undo"]

# What a person may ask for. All other actions follow from what the shop, the clock or the next run says.
DECISIONS: Final[tuple[DecisionAction, ...]] = ("approve", "reject", "snooze", "undo")

# wait: the first of two persons has approved; until the second has, that can be undone. wake: the day a snooze lasts until has come.
# apply: a person has submitted the draft in the shop. close: nothing more will come of it. fail: the target refused the draft for good.
TRANSITIONS: Final[dict[tuple[Status, Action], Status]] = {
    ("proposed", "approve"): "approved",
    ("proposed", "wait"): "proposed",
    ("proposed", "mark_stale"): "stale",
    ("proposed", "undo"): "proposed",
    ("proposed", "reject"): "rejected",
    ("proposed", "snooze"): "snoozed",
    ("proposed", "expire"): "expired",
    ("proposed", "supersede"): "superseded",
    ("stale", "approve"): "approved",
    ("stale", "wait"): "stale",
    ("stale", "mark_stale"): "stale",
    ("stale", "undo"): "stale",
    ("stale", "reject"): "rejected",
    ("stale", "snooze"): "snoozed",
    ("stale", "expire"): "expired",
    ("snoozed", "wake"): "proposed",
    ("snoozed", "undo"): "proposed",
    ("snoozed", "reject"): "rejected",
    ("rejected", "undo"): "proposed",
    ("approved", "undo"): "proposed",
    ("approved", "apply"): "applied",
    ("approved", "close"): "closed",
    ("approved", "fail"): "failed",
    ("applied", "close"): "closed",
    ("failed", "undo"): "proposed",
    ("failed", "apply"): "applied",
    ("failed", "close"): "closed",
}

REASONS: Final[dict[str, str]] = {
    "not_needed": "The item is not needed in this quantity.",
    "forecast_too_high": "Less will be sold than forecast.",
    "ordered_elsewhere": "It was ordered another way.",
    "supplier": "The supplier cannot or should not deliver now.",
    "price": "The price is too high.",
    "budget": "There is no budget for it now.",
    "space": "There is no room for it.",
    "phasing_out": "The item is phased out.",
    "data_wrong": "Stock, terms or sales are recorded wrong.",
    "other": "Another reason; the comment says which.",
}

_WHY_NOT: Final[dict[Status, str]] = {
    "approved": "is approved already",
    "applied": "was submitted in the shop; change it there",
    "closed": "is closed",
    "snoozed": "is snoozed; undo that first",
    "rejected": "is rejected; undo that first",
    "expired": "has expired; the next run proposes anew what is still needed",
    "superseded": "was superseded by a later run",
    "failed": "could not be handed over; undo it first",
}


def next_status(status: str, action: Action) -> Status:
    """The status after the action.

    Raises:
        DecisionError: The action is not legal in this status; the message says why and what to do.
    """
    found = TRANSITIONS.get((cast("Status", status), action))
    if found is None:
        why = _WHY_NOT.get(cast("Status", status), f"is {status}, so there is nothing to {action}")
        raise DecisionError(f"This recommendation {why}.")
    return found


def check_reason(reason_code: str | None, comment: str | None) -> None:
    """A rejection says why.

    Raises:
        DecisionError: The code is missing or unknown, or it is `other` without a comment.
    """
    if reason_code not in REASONS:
        raise DecisionError(f"A rejection needs a reason code, one of {', '.join(REASONS)}.")
    if reason_code == "other" and not (comment or "").strip():
        raise DecisionError("The reason 'other' needs a comment that says which.")
