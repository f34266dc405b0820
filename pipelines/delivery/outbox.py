"""Messages leave the outbox: claimed by one deliverer, sent outside any transaction, and what became of it written down."""

from __future__ import annotations

import logging
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.decisions.audit import SYSTEM
from pipelines.decisions.drafts import resolve_exception
from pipelines.decisions.following import count_no_more
from pipelines.decisions.lifecycle import TRANSITIONS
from pipelines.decisions.messages import UNDELIVERED, State, report_undelivered
from pipelines.decisions.retrying import retried
from pipelines.decisions.transitions import count_item_change, lock_item, lock_recommendation, move
from pipelines.delivery.message import Message, Outcome
from pipelines.stores.own_tables import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.delivery.message import Target
    from pipelines.stores.operational import OperationalStore

logger = logging.getLogger("ordercast.outbox")

# Longer than any attempt takes. Whoever has not said by then what became of a message has died.
LEASE: Final = timedelta(minutes=10)
_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=6)
_PASSED_ON: Final = ("sent", "cancelled")  # later messages about the same recommendation may follow


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """What became of the messages of one round: `put_off` are tried again by themselves, the last three wait for a person."""

    sent: int = 0
    put_off: int = 0
    refused: int = 0
    dead: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class _Claim:
    """A message that is ours to send until `until`, as `token` proves; `address` is the target that has it or may have it."""

    token: str
    until: datetime
    address: str
    message: Message


def utc_now() -> datetime:
    """The wall clock, UTC without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def deliver(store: OperationalStore, target: Target, *, attempts: int, clock: Callable[[], datetime] = utc_now) -> DeliveryCounts:
    """Every message that is due was tried once, and what became of it is known or said to be unknown.

    A message is claimed in a transaction of its own (`sending`), so that of any number of deliverers one sends it, and what became of
    it is written in another. Whoever dies in between leaves it `sending`, which becomes `unknown` once the lease is over. Messages
    about one recommendation leave in their order, each after the one before it has arrived or was called off. The round ends early
    where the target stops answering; the rest stay as they are.

    Args:
        store: The operational store.
        target: Where messages go.
        attempts: After so many a message that could not be delivered is dead.
        clock: UTC without zone.

    Raises:
        StoreUnavailableError: The store did not answer. A message that was being sent will be `unknown`.
    """
    counts = Counter(_expired(store, target, attempts, clock()))
    while (claim := retried(lambda: _claim(store, target, clock()))) is not None:
        outcome = _attempt(target, claim, clock)
        state = _conclude(store, target, claim, outcome, attempts=attempts, now=clock())
        if state is not None:
            counts[_counted(state)] += 1
        if not outcome.goes_on:
            break
    return DeliveryCounts(**counts)


def _attempt(target: Target, claim: _Claim, clock: Callable[[], datetime]) -> Outcome:
    if claim.address != target.address:
        return Outcome("unknown", f"An earlier attempt went to {claim.address}, which may have it.")
    if clock() >= claim.until:
        return Outcome("not_delivered", "It was held up before it was sent.")
    return target.send(claim.message)


def _expired(store: OperationalStore, target: Target, attempts: int, now: datetime) -> list[str]:
    """Messages whose deliverer died are unknown: it may have sent them or not."""
    with store.transaction(writes=False) as conn:
        rows = conn.execute(sa.select(outbox).where(outbox.c.state == "sending", outbox.c.next_at <= now)).mappings().all()
    cut = Outcome("unknown", "The program ended while it was being sent.")
    found = (_conclude(store, target, _claim_of(row), cut, attempts=attempts, now=now) for row in rows)
    return [_counted(state) for state in found if state is not None]


def _claim(store: OperationalStore, target: Target, now: datetime) -> _Claim | None:
    """The next message that is due, ours from now on; None where there is none."""
    earlier = outbox.alias()
    waits_for_another = sa.exists().where(
        earlier.c.rec_id == outbox.c.rec_id, earlier.c.number < outbox.c.number, earlier.c.state.not_in(_PASSED_ON)
    )
    due = sa.select(outbox).where(outbox.c.state == "pending", outbox.c.next_at <= now, ~waits_for_another)
    first = due.order_by(outbox.c.created_at, outbox.c.idem_key).limit(1).with_for_update(skip_locked=True)
    with store.transaction() as conn:
        row = conn.execute(first).mappings().first()
        if row is None:
            return None
        address = row["target"] if row["is_in_doubt"] and row["target"] is not None else target.address
        claimed = {"state": "sending", "claim": uuid.uuid4().hex, "next_at": now + LEASE, "target": address}
        conn.execute(sa.update(outbox).where(_is(row)).values(attempts=row["attempts"] + 1, **claimed))
    return _claim_of(dict(row) | claimed)


def _claim_of(row: Mapping[Any, Any]) -> _Claim:
    message = Message(idem_key=row["idem_key"], rec_id=row["rec_id"], payload=row["payload"], created_at=row["created_at"])
    return _Claim(row["claim"], row["next_at"], row["target"], message)


def _conclude(store: OperationalStore, target: Target, claim: _Claim, outcome: Outcome, *, attempts: int, now: datetime) -> State | None:
    """What became of the attempt is written down; None where the claim is not ours any more, since a person or the lease decided."""

    def write() -> State | None:
        with store.transaction() as conn:
            rec = None if claim.message.rec_id is None else lock_recommendation(conn, claim.message.rec_id)
            mine = (outbox.c.claim == claim.token, outbox.c.state.in_(("sending", "unknown")))
            row = conn.execute(sa.select(outbox).where(*mine).with_for_update()).mappings().first()
            if row is None or row["state"] == outcome.result:
                return None
            is_safe = outcome.result == "not_delivered" or (target.honours_key and row["target"] == target.address)
            is_in_doubt = outcome.result != "delivered" and (row["is_in_doubt"] or outcome.result == "unknown")
            state = _next_state(outcome, is_in_doubt=is_in_doubt, is_tried_again=is_safe and row["attempts"] < attempts)
            values: dict[str, Any] = {"state": state, "is_in_doubt": is_in_doubt, "last_error": None if state == "sent" else outcome.detail}
            if state == "pending":
                values["next_at"] = now + max(_pause(row["attempts"]), outcome.retry_after or timedelta())
            conn.execute(sa.update(outbox).where(_is(row)).values(**values))
            if rec is not None:  # an alert that cannot be told stays in the outbox's list: it changes nothing that was decided
                _follow_up(conn, rec, row, state, outcome)
            return state

    state = retried(write)
    logger.info("%s: %s, %s", claim.message.idem_key, state or "settled by somebody else", outcome.detail)
    return state


def _next_state(outcome: Outcome, *, is_in_doubt: bool, is_tried_again: bool) -> State:
    """Where a message stands after an attempt; one that may have arrived before is never called dead or refused."""
    if outcome.result == "delivered":
        return "sent"
    if outcome.result == "refused":
        return "unknown" if is_in_doubt else "refused"
    if is_tried_again:
        return "pending"
    return "unknown" if is_in_doubt else "dead"


def _follow_up(conn: sa.Connection, rec: dict[str, Any], row: Mapping[Any, Any], state: State, outcome: Outcome) -> None:
    """The recommendation and the exceptions of its owner say what became of the message."""
    key = row["idem_key"]
    if state == "sent":
        resolve_exception(conn, row["rec_id"], "Its message was delivered.", kinds=(UNDELIVERED,))
    elif state == "unknown":
        report_undelivered(conn, row, f"Nobody knows whether message {key} arrived: {outcome.detail} Ask the receiver, then settle it.")
    elif state == "dead":
        report_undelivered(conn, row, f"Message {key} could not be delivered: {outcome.detail} Mend the target and resend it, or undo.")
    elif state == "refused":
        report_undelivered(conn, row, f"Message {key} was refused: {outcome.detail} Undo the approval, or mend the cause and resend it.")
        if (rec["status"], "fail") in TRANSITIONS:  # a refused cancellation leaves the recommendation as it is
            lock_item(conn, rec)
            count_item_change(conn, rec)
            count_no_more(conn, row["rec_id"], datetime.now(UTC))
            move(conn, rec, "fail", actor=SYSTEM, after={"message": key, "why": outcome.detail})


def _pause(attempt: int) -> timedelta:
    """Before the next attempt: doubles, up to six hours, and half of it is chance, so that many do not come back at once."""
    longest = min(_FIRST_PAUSE * (1 << min(attempt - 1, 20)), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, no secret


def _is(row: Mapping[Any, Any]) -> sa.ColumnElement[bool]:
    matches: sa.ColumnElement[bool] = outbox.c.idem_key == row["idem_key"]
    return matches


def _counted(state: State) -> str:
    return "put_off" if state == "pending" else state
