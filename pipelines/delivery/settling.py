"""What people see of the outbox, and what they say about a message that cannot go on by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from pipelines.decisions import audit, roles
from pipelines.decisions.drafts import resolve_exception
from pipelines.decisions.messages import TROUBLED, UNDELIVERED, State, report_undelivered
from pipelines.decisions.transitions import lock_recommendation
from pipelines.errors import DecisionError
from pipelines.stores.own_tables import outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.stores.operational import OperationalStore

_OPEN: Final[tuple[State, ...]] = ("pending", "sending", *TROUBLED)
_ALREADY: Final[dict[str, str]] = {
    "sending": "is being sent at this moment; look again in some minutes",
    "sent": "was delivered; to take it back, undo the approval",
    "cancelled": "was called off",
    "pending": "is going to be sent by itself",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as the list shows it; times are UTC without zone.

    Attributes:
        action: create or cancel; of alerts, what the message tells: alert.raised, alert.resolved or alert.digest.
        attempts: How often it was tried.
        next_at: When it is tried next; None where nothing happens by itself.
        waits_for: The message about the same recommendation that has to arrive before, if any.
        target: Where the last attempt went.
        last_error: What the last attempt met.
    """

    idem_key: str
    decision_id: str | None
    rec_id: str | None
    action: str
    draft_id: str | None
    state: State
    attempts: int
    created_at: datetime
    next_at: datetime | None
    waits_for: str | None
    target: str | None
    last_error: str | None


def list_messages(store: OperationalStore, *, is_whole: bool = False) -> list[Entry]:
    """Messages that have not arrived, or with `is_whole` all, oldest first; empty in a store that knows no outbox yet."""
    chosen = sa.select(outbox).order_by(outbox.c.number)
    if not is_whole:
        chosen = chosen.where(outbox.c.state.in_(_OPEN))
    entries, last_open = [], dict[str, str]()
    with store.transaction(writes=False) as conn:
        if not _is_migrated(conn):
            return []
        for row in conn.execute(chosen).mappings():
            entries.append(_entry(row, waits_for=last_open.get(row["rec_id"])))
            if row["rec_id"] is not None and row["state"] in _OPEN:
                last_open[row["rec_id"]] = row["idem_key"]
    return sorted(entries, key=lambda one: (one.created_at, one.idem_key))


def resend(store: OperationalStore, name: str, *, actor: str) -> Entry:
    """The message is due at once, whatever became of it before and whichever target has it now; it has all its attempts again.

    Args:
        store: The operational store.
        name: The message's key, or a beginning that no other has.
        actor: Who says so; at least a planner in whose scope the recommendation lies.

    Raises:
        DecisionError: There is no such message, or it is being sent, has arrived or was called off. Nothing was changed.
    """
    with store.transaction() as conn:
        rec, row = _locked(conn, name, actor)
        if row["state"] not in {"pending", *TROUBLED}:
            raise DecisionError(f"Message {row['idem_key']} {_ALREADY[row['state']]}.")
        values = {"state": "pending", "attempts": 0, "next_at": datetime.now(UTC).replace(tzinfo=None), "claim": None, "target": None}
        return _changed(conn, rec, row, actor, "resend", **values)


def settle(store: OperationalStore, name: str, *, is_delivered: bool, actor: str) -> Entry:
    """A person has found out whether the message arrived: it is sent, or dead and not in doubt any more, to be resent or undone.

    Args:
        store: The operational store.
        name: The message's key, or a beginning that no other has.
        is_delivered: What they found.
        actor: Who says so; at least a planner in whose scope the recommendation lies.

    Raises:
        DecisionError: There is no such message, or nothing about it is to be settled. Nothing was changed.
    """
    with store.transaction() as conn:
        rec, row = _locked(conn, name, actor)
        if row["state"] not in TROUBLED:
            raise DecisionError(f"Message {row['idem_key']} {_ALREADY[row['state']]}.")
        state = "sent" if is_delivered else "refused" if row["state"] == "refused" else "dead"
        if rec is None:
            pass  # nothing was decided that an alert carries out
        elif is_delivered:
            resolve_exception(conn, row["rec_id"], f"{actor} found that it was delivered.", kinds=(UNDELIVERED,))
        else:
            report_undelivered(conn, row, f"Message {row['idem_key']} did not arrive, as {actor} found. Resend it, or undo the approval.")
        return _changed(conn, rec, row, actor, "settle", state=state, is_in_doubt=False, claim=None)


def count_open(store: OperationalStore) -> dict[State, int]:
    """How many messages have not arrived, by state; states that have none are left out."""
    counted = sa.select(outbox.c.state, sa.func.count()).where(outbox.c.state.in_(_OPEN)).group_by(outbox.c.state)
    with store.transaction(writes=False) as conn:
        if not _is_migrated(conn):
            return {}
        return {cast("State", row[0]): int(row[1]) for row in conn.execute(counted.order_by(outbox.c.state))}


def _is_migrated(conn: sa.Connection) -> bool:
    inspected = sa.inspect(conn)
    return inspected.has_table(outbox.name) and any(column["name"] == "claim" for column in inspected.get_columns(outbox.name))


def _locked(conn: sa.Connection, name: str, actor: str) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The recommendation, if any, and the message that the name stands for, both locked, for an actor who may decide about them."""
    operator = roles.require(conn, actor, "planner")
    begins = sa.select(outbox.c.idem_key, outbox.c.rec_id).where(outbox.c.idem_key.startswith(name, autoescape=True))
    found = conn.execute(begins.limit(2)).all()
    if not name or not found:
        raise DecisionError(f"There is no message {name!r}; ordercast outbox lists them.")
    if len(found) > 1:
        raise DecisionError(f"More than one message begins with {name!r}; write more of the key.")
    rec = None
    if found[0].rec_id is not None:
        rec = lock_recommendation(conn, found[0].rec_id)
        roles.require_scope(operator, rec)
    chosen = sa.select(outbox).where(outbox.c.idem_key == found[0].idem_key).with_for_update()
    return rec, dict(conn.execute(chosen).mappings().one())


def _changed(conn: sa.Connection, rec: Mapping[Any, Any] | None, row: Mapping[Any, Any], actor: str, action: str, **values: Any) -> Entry:
    """The message has these values, and the log says who gave them to it; the recommendation stands where it stood."""
    conn.execute(sa.update(outbox).where(outbox.c.idem_key == row["idem_key"]).values(**values))
    version = {} if rec is None else {"version": rec["version"]}
    audit.append(
        conn, actor=actor, rec_id=row["rec_id"], states=(None, None) if rec is None else (rec["status"], rec["status"]),
        before=version | {"message": row["idem_key"], "state": row["state"]},
        after=version | {"action": action, "message": row["idem_key"], "state": values["state"]},
    )  # fmt: skip
    return _entry(dict(row) | values)


def _entry(row: Mapping[Any, Any], *, waits_for: str | None = None) -> Entry:
    said = json.loads(row["payload"])
    return Entry(
        row["idem_key"], row["decision_id"], row["rec_id"], said.get("action") or said["type"], said.get("draft_id"),
        row["state"], row["attempts"], row["created_at"], row["next_at"] if row["state"] == "pending" else None, waits_for,
        row["target"], row["last_error"],
    )  # fmt: skip
