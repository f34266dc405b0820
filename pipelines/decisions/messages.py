"""Messages for targets outside the database: written with the decision they carry out, called off with the one that takes it back."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from pipelines.decisions.audit import canonical_json
from pipelines.errors import DecisionError
from pipelines.stores.own_tables import decision, exception, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

# sending: somebody has claimed it. unknown: it may have arrived or not. dead: not delivered, and not tried again by itself. refused: the
# target will not have it. cancelled: called off before it arrived.
State = Literal["pending", "sending", "sent", "unknown", "dead", "refused", "cancelled"]
TROUBLED: Final[tuple[State, ...]] = ("unknown", "dead", "refused")
UNDELIVERED: Final = "message_undelivered"
_DUE_AFTER: Final = timedelta(days=1)


def message_key(decision_id: str) -> str:
    """What a decision's message is called outside: 36 letters, digits and one underscore, whatever the caller called the decision."""
    return f"msg_{hashlib.sha256(decision_id.encode()).hexdigest()[:32]}"


def write_message(conn: sa.Connection, row: Mapping[Any, Any], *, decision_id: str, message: Mapping[str, Any]) -> None:
    """A message about the recommendation waits in the outbox, after those that were written about it before.

    Args:
        conn: The caller's transaction, which holds the recommendation's row.
        row: The recommendation.
        decision_id: The decision that the message carries out.
        message: What it says beside which recommendation it is about.
    """
    names = ("rec_id", "kind", "sku", "location_id", "source_location_id", "supplier_id", "need_by", "expected_receipt")
    payload = canonical_json({name: row[name] for name in names} | dict(message))
    last = conn.execute(sa.select(sa.func.max(outbox.c.number)).where(outbox.c.rec_id == row["rec_id"])).scalar()
    now = datetime.now(UTC)
    conn.execute(
        sa.insert(outbox).values(
            idem_key=message_key(decision_id), decision_id=decision_id, rec_id=row["rec_id"], number=(last or 0) + 1, payload=payload,
            state="pending", attempts=0, next_at=now, is_in_doubt=False, created_at=now,
        )
    )  # fmt: skip


def call_off(conn: sa.Connection, row: Mapping[Any, Any], *, decision_id: str, draft_id: str) -> None:
    """The recommendation's last message has no effect outside: it is never sent, or one that cancels it follows.

    Args:
        conn: The caller's transaction, which holds the recommendation's row.
        row: The recommendation.
        decision_id: The decision that takes the other back.
        draft_id: The draft that the message was about.

    Raises:
        DecisionError: It is being sent, or nobody knows whether it arrived. The transaction cannot go on.
    """
    last = newest_message(conn, row["rec_id"])
    if last is None:
        return
    if last["state"] == "sending":
        raise DecisionError("Its message is being delivered at this moment; look at `ordercast outbox` in some minutes and try again.")
    if last["state"] == "unknown":
        key = last["idem_key"]
        raise DecisionError(
            f"Nobody knows whether its message {key} arrived. Ask the receiver, then: ordercast outbox settle {key} --delivered, "
            "or --not-delivered; after that it can be undone."
        )
    if last["state"] != "sent":
        conn.execute(sa.update(outbox).where(outbox.c.idem_key == last["idem_key"]).values(state="cancelled"))
    if last["state"] == "sent" or last["is_in_doubt"]:
        told = {"action": "cancel", "draft_id": draft_id, "cancels": last["idem_key"]}
        write_message(conn, row, decision_id=decision_id, message=told)


def newest_message(conn: sa.Connection, rec_id: str) -> dict[str, Any] | None:
    """The last message about the recommendation, locked; None where there is none."""
    chosen = sa.select(outbox).where(outbox.c.rec_id == rec_id).order_by(outbox.c.number.desc()).limit(1).with_for_update()
    found = conn.execute(chosen).mappings().first()
    return None if found is None else dict(found)


def report_undelivered(conn: sa.Connection, message: Mapping[Any, Any], detail: str) -> None:
    """Whoever decided what the message carries out has one open exception that says what became of it."""
    open_one = (exception.c.kind == UNDELIVERED, exception.c.rec_id == message["rec_id"], exception.c.resolved_at.is_(None))
    if conn.execute(sa.update(exception).where(*open_one).values(detail=detail)).rowcount:
        return
    at = datetime.now(UTC)
    owner = conn.execute(sa.select(decision.c.actor).where(decision.c.decision_id == message["decision_id"])).scalar()
    conn.execute(
        sa.insert(exception).values(
            exception_id=uuid.uuid4().hex, kind=UNDELIVERED, rec_id=message["rec_id"], detail=detail, owner=owner, opened_at=at,
            due_at=at + _DUE_AFTER,
        )
    )  # fmt: skip
