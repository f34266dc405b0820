"""What a caller asks for and what it is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.decisions.audit import canonical_json, digest
from pipelines.decisions.lifecycle import DECISIONS
from pipelines.decisions.shop import MOST_UNITS
from pipelines.errors import DecisionError

if TYPE_CHECKING:
    from datetime import date

    from pipelines.decisions.lifecycle import DecisionAction

Outcome = Literal["approved", "rejected", "snoozed", "undone", "stale", "waiting", "refused", "unavailable"]
# What did not happen: the planner looks again, somebody else has to agree, it may not be, or the store did not answer.
UNDONE_OUTCOMES: Final[tuple[Outcome, ...]] = ("stale", "waiting", "refused", "unavailable")
_LONGEST_NAME: Final = 500
_LONGEST_COMMENT: Final = 4_000


def check_request(request: DecisionRequest) -> None:
    """The request is one that the store can hold.

    Raises:
        DecisionError: It has no id, an unknown action, or a text, quantity or price that nothing can be done with.
    """
    for name in ("decision_id", "rec_id", "actor", "reason_code", "comment"):
        text, most = getattr(request, name) or "", _LONGEST_COMMENT if name == "comment" else _LONGEST_NAME
        if not is_storable(text):
            raise DecisionError(f"{name}: holds a character that is no text; write it anew.")
        if len(text) > most:
            raise DecisionError(f"{name}: has {len(text):,} characters, and {most:,} are the most.")
    if not request.decision_id or request.action not in DECISIONS:
        raise DecisionError(f"A decision needs an id, and is one of {', '.join(DECISIONS)}.")
    for name in ("rec_version", "qty", "confirmed_qty"):
        number = getattr(request, name)
        if number is not None and (type(number) is not int or abs(number) > MOST_UNITS):
            raise DecisionError(f"{name}: has to be a whole number of at most {MOST_UNITS:,}, got {number!r}.")
    price = request.confirmed_unit_cost
    if price is not None and not (price.is_finite() and 0 <= price <= MOST_UNITS):
        raise DecisionError(f"confirmed_unit_cost: has to be a price, got {price}.")


def is_storable(text: str) -> bool:
    """Whether databases take it for text: no NUL, and nothing that has no UTF-8."""
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def decision_key(base: str, rec_id: str) -> str:
    """The decision_id of one recommendation in a bulk that has one key."""
    return f"{base}:{rec_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """One decision of a person about one recommendation.

    Attributes:
        decision_id: Made by the caller when the form is drawn, and kept for every click and every retry: one id has one effect.
        rec_id: The recommendation.
        rec_version: Its version as the person saw it.
        action: approve, reject, snooze or undo.
        actor: Who decides.
        qty: Units to order; None: as many as are proposed. Only with approve.
        confirmed_qty: The proposed quantity that the person has seen, where it is not the recommendation's: after `stale`.
        confirmed_unit_cost: The price they have seen, in major units; after `stale`.
        reason_code: Why it is rejected, one of `lifecycle.REASONS`.
        comment: In their own words.
        until: The day on which a snoozed one comes back.
    """

    decision_id: str
    rec_id: str
    rec_version: int
    action: DecisionAction
    actor: str
    qty: int | None = None
    confirmed_qty: int | None = None
    confirmed_unit_cost: Decimal | None = None
    reason_code: str | None = None
    comment: str | None = None
    until: date | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the person says which numbers they have seen."""
        return self.confirmed_qty is not None

    @property
    def hash(self) -> str:
        """SHA-256 of what is asked; the id is no part of it."""
        return digest({name: value for name, value in asdict(self).items() if name != "decision_id"})

    def not_done(self, outcome: Literal["refused", "unavailable"], message: str) -> Decision:
        """The answer of whoever could not do it."""
        return Decision(decision_id=self.decision_id, rec_id=self.rec_id, action=self.action, outcome=outcome, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a request; money in major units of `currency_code`.

    Attributes:
        outcome: What happened: approved, rejected, snoozed, undone; or why nothing was ordered: stale (stock, inbound, price or terms
            have moved; confirm the numbers in `basis_now`), waiting (for a second person), refused, unavailable.
        status: The recommendation's status now; None where it was not reached.
        message: One sentence for a person.
        order_amount: What the supplier's draft amounts to with this line.
        minimum_amount: The least the supplier accepts; None where unknown.
        basis_before: What the proposal was computed from.
        basis_now: What holds now.
        second_person_reasons: Why one person is not enough.
    """

    decision_id: str
    rec_id: str
    action: str
    outcome: Outcome
    message: str
    status: str | None = None
    version: int | None = None
    ordered_qty: int | None = None
    unit_cost: Decimal | None = None
    currency_code: str | None = None
    draft_id: str | None = None
    line_id: str | None = None
    target: str | None = None
    order_amount: Decimal | None = None
    minimum_amount: Decimal | None = None
    basis_before: dict[str, Any] | None = None
    basis_now: dict[str, Any] | None = None
    second_person_reasons: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The decision as it is stored: canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The decision that `to_json` wrote; equal to it."""
        values = json.loads(text)
        for name in _MONEY:
            values[name] = None if values[name] is None else Decimal(values[name])
        values["second_person_reasons"] = tuple(values["second_person_reasons"])
        return cls(**{field.name: values[field.name] for field in fields(cls)})


_MONEY: Final = ("unit_cost", "order_amount", "minimum_amount")
