"""The days that a decision is judged by, and what its order would have brought on them under another decision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.stores.recommendation_matching import ORDER_CHANGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.schema import FloatArray
    from pipelines.settings import Settings
    from pipelines.stores.outcomes import Decided

SAVING_KINDS: Final = ("defer", "cancel_po")
ALLOCATE: Final = "allocate"
TRANSFER: Final = "transfer"


@dataclass(frozen=True, slots=True)
class Case:
    """A decision with the days it is judged by.

    Attributes:
        decided: The decision.
        window_from: First day.
        window_to: Last day.
        due: The day on which its order would have come; of a changed line the day wanted, None where it was called off.
        line_id: Its line in the shop; None where there is none.
        stood: Of a line that was to be changed, the day it stood with; else None.
        open_qty: Units open on that line; 0 of a new order.
    """

    decided: Decided
    window_from: date
    window_to: date
    due: date | None
    line_id: str | None
    stood: date | None = None
    open_qty: int = 0

    def row(self, day: date) -> int:
        """The day of the window, from 0."""
        return (day - self.window_from).days


def case_of(decided: Decided, settings: Settings) -> Case | None:
    """None where the suggestion does not say when it was made or, but for an allocation, when it would arrive.

    Args:
        decided: The decision.
        settings: For the review period where the suggestion names none.
    """
    basis = json.loads(decided.basis)
    if "as_of_date" not in basis:
        return None
    first = date.fromisoformat(basis["as_of_date"]) + timedelta(days=1)
    review = timedelta(days=int(basis.get("review_period_days") or settings.review_period_days))
    if decided.kind == ALLOCATE:
        return Case(decided, first, first + review - timedelta(days=1), None, None)
    if decided.expected_receipt is None:
        return None
    expected = max(decided.expected_receipt, first)
    if decided.kind not in ORDER_CHANGES:
        return Case(decided, first, expected + review, expected, decided.line_id)
    wanted = None if basis["wanted_date"] is None else max(first, date.fromisoformat(basis["wanted_date"]))
    last = max(expected, wanted or expected) + review
    return Case(decided, first, last, wanted, basis["po_line_id"], stood=expected, open_qty=int(basis["open_qty"]))


def proposed_units(cases: Sequence[Case], received: FloatArray) -> FloatArray:
    """[day, case]; units that would have come had the proposal been taken as it was.

    Of what was accepted, the proposed quantity on the days on which the order came; of what was rejected, all of it on the day it was
    due, and nothing of a line that was to be called off.

    Args:
        cases: With their windows.
        received: Units that really came, [day, case].
    """
    proposed = np.zeros_like(received)
    for index, case in enumerate(cases):
        one = case.decided
        if one.is_accepted:
            proposed[:, index] = received[:, index] * _proposed_share(case)
        elif case.due is not None:
            proposed[case.row(case.due), index] = one.proposed_qty
    return proposed


def sent_units(cases: Sequence[Case], sent: FloatArray) -> FloatArray:
    """[day, case]; units that would have left where a transfer comes from, had the proposal been taken as it was.

    Of what was accepted, the proposed quantity on the days on which units left; of what was rejected, all of it on the first day. Nothing
    of what is no transfer.

    Args:
        cases: With their windows.
        sent: Units that really left, [day, case].
    """
    left = np.zeros_like(sent)
    for index, case in enumerate(cases):
        if case.decided.is_accepted:
            left[:, index] = sent[:, index] * _proposed_share(case)
        elif case.decided.kind == TRANSFER:
            left[0, index] = case.decided.proposed_qty
    return left


def units_without(cases: Sequence[Case], received: FloatArray) -> FloatArray:
    """[day, case]; units of the same order that would have come had nothing been suggested.

    None of a new order. A line that was not changed came as it came. One that was brought forward would have brought the same on the day
    it stood with, one that was put off what it stood with, and one that was called off also what it did not bring.

    Args:
        cases: With their windows.
        received: Units that really came, [day, case].
    """
    without = np.zeros_like(received)
    for index, case in enumerate(cases):
        one, came = case.decided, received[:, index]
        if case.stood is None:
            continue
        if not one.is_accepted:
            without[:, index] = came
        elif one.kind == "cancel_po":
            without[:, index] = came
            without[case.row(case.stood), index] += min(one.decided_qty, max(0.0, case.open_qty - came.sum()))
        else:
            without[case.row(case.stood), index] = came.sum() if one.kind == "expedite" else max(came.sum(), one.decided_qty)
    return without


def _proposed_share(case: Case) -> float:
    """Of what came, how much would have come had the person left the quantity."""
    one = case.decided
    if one.kind == "cancel_po":
        kept = case.open_qty - one.decided_qty
        return (case.open_qty - one.proposed_qty) / kept if kept > 0 else 1.0
    return one.proposed_qty / max(1, one.decided_qty)
