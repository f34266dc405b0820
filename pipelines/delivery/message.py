"""What is sent, what became of it, and what a target has to offer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from pipelines.decisions.audit import canonical_json

if TYPE_CHECKING:
    from datetime import datetime, timedelta

# What a message of each kind is about, as its type begins.
SUBJECTS: Final = {
    "purchase": "draft_line", "transfer": "draft_line", "expedite": "order_change", "defer": "order_change", "cancel_po": "order_change",
    "allocate": "reservation",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it leaves: the same bytes at every attempt.

    Attributes:
        idem_key: What it is called outside; at most 36 letters, digits and underscores.
        rec_id: The recommendation it is about; None where it is about alerts.
        payload: Canonical JSON of what it says, as the outbox holds it.
        created_at: When it was decided, UTC without zone.
    """

    idem_key: str
    rec_id: str | None
    payload: str
    created_at: datetime

    @property
    def data(self) -> dict[str, Any]:
        """What it says: action (create or cancel), kind, draft, item, places, quantity, price, days, order lines; or exceptions."""
        found: dict[str, Any] = json.loads(self.payload)
        return found

    @property
    def type(self) -> str:
        """What it is, such as draft_line.create or alert.raised."""
        data = self.data
        return str(data["type"]) if self.is_alert else f"{SUBJECTS[data['kind']]}.{data['action']}"

    @property
    def is_alert(self) -> bool:
        """Whether it tells of alerts, and asks for nothing."""
        return self.rec_id is None

    @property
    def body(self) -> bytes:
        """It as JSON in UTF-8: type, timestamp and data, as Standard Webhooks recommends."""
        text = {"type": self.type, "timestamp": f"{self.created_at.isoformat()}Z", "data": self.data}
        return canonical_json(text).encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        result: delivered; refused (the target will never have it); not_delivered (for certain, so it may be tried again); unknown (it was
            sent and no answer came).
        detail: One sentence for a person; no secret is in it.
        goes_on: Whether the target takes others at this moment.
        retry_after: How long the target asks to be left alone.
    """

    result: Literal["delivered", "refused", "not_delivered", "unknown"]
    detail: str
    goes_on: bool = True
    retry_after: timedelta | None = None


class Target(Protocol):
    """Where messages go."""

    @property
    def address(self) -> str:
        """Kind and place, fit for messages: no password, no path that may be one."""
        ...

    @property
    def honours_key(self) -> bool:
        """Whether the same message sent twice has one effect there for certain."""
        ...

    def send(self, message: Message) -> Outcome:
        """One attempt, which ends in bounded time and raises nothing for what is wrong outside."""
        ...
