"""What people do about exceptions: acknowledge, snooze, resolve, assign. Every request has a key, and one key has one effect."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import sqlalchemy as sa

from pipelines.alerts.exceptions import FALSE_ALARM, FIXED, RESOLUTIONS, State, append_event, state_of
from pipelines.decisions.audit import digest
from pipelines.decisions.requests import is_storable
from pipelines.decisions.retrying import retried
from pipelines.decisions.roles import require
from pipelines.errors import AlertError, KeyReusedError
from pipelines.stores.own_tables import exception, exception_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.stores.operational import OperationalStore

Action = Literal["acknowledge", "snooze", "resolve", "assign"]
_DONE: Final[dict[Action, str]] = {"acknowledge": "acknowledged", "snooze": "snoozed", "resolve": "resolved", "assign": "assigned"}
_LONGEST_SNOOZE: Final = timedelta(days=92)
_LONGEST_NOTE: Final = 4_000
_LONGEST_OWNER: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """One thing that a person does about one exception.

    Attributes:
        request_id: Made by the caller when the form is drawn, and kept for every click and every retry.
        exception_id: The exception, or a beginning of its id that no other has.
        action: acknowledge (it is seen, and somebody is at it), snooze, resolve, assign.
        actor: Who does it; at least a planner.
        note: In their own words.
        until: When a snoozed one comes back, UTC without zone.
        resolution_code: One of `RESOLUTIONS`, with resolve.
        owner: Operator or team that it goes to, with assign.
    """

    request_id: str
    exception_id: str
    action: Action
    actor: str
    note: str | None = None
    until: datetime | None = None
    resolution_code: str | None = None
    owner: str | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of what is asked; the id of the request is no part of it."""
        return digest({name: value for name, value in asdict(self).items() if name != "request_id"})


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of it: where the exception stands, and whether an earlier request with this key had done it already."""

    exception_id: str
    state: State
    owner: str | None
    is_repeated: bool = False


def handle(store: OperationalStore, request: Handling, *, now: datetime | None = None) -> Handled:
    """The exception stands as was asked for, and its history says so; a second request with the same key changes nothing.

    Args:
        store: The operational store.
        request: What is asked.
        now: The wall clock, UTC without zone.

    Raises:
        AlertError: There is no such exception, it is resolved already, or what is asked cannot be. Nothing was changed.
        KeyReusedError: The key stands for another request. Nothing was changed.
        NotPermittedError: The actor is a viewer, or nobody. Nothing was changed.
        StoreUnavailableError: The store did not answer; the same request can be made again.
    """
    at = now or datetime.now(UTC).replace(tzinfo=None)
    _check(request, at)
    return retried(lambda: _attempt(store, request, at))


def _attempt(store: OperationalStore, request: Handling, at: datetime) -> Handled:
    with store.transaction() as conn:
        require(conn, request.actor, "planner")
        row = _locked(conn, request.exception_id)
        earlier = conn.execute(sa.select(exception_event).where(exception_event.c.event_id == request.request_id)).mappings().first()
        if earlier is not None:
            if earlier["request_hash"] != request.hash:
                raise KeyReusedError(f"The key {request.request_id!r} stands for another request already; nothing was changed.")
            return Handled(row["exception_id"], state_of(row, at=at), row["owner"], is_repeated=True)
        if row["resolved_at"] is not None:
            raise AlertError(f"{_called(row)} is resolved already ({row['resolution']}); nothing was changed.")
        values, facts = _values(request, row, at)
        conn.execute(sa.update(exception).where(exception.c.exception_id == row["exception_id"]).values(**values))
        after = row | values
        append_event(
            conn, row, action=_DONE[request.action], at=at, actor=request.actor, to_state=state_of(after, at=at), note=request.note,
            facts=facts, event_id=request.request_id, request_hash=request.hash,
        )  # fmt: skip
    return Handled(row["exception_id"], state_of(after, at=at), after["owner"])


def _values(request: Handling, row: Mapping[str, Any], at: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the request changes of the exception, and what its history says of that."""
    match request.action:
        case "acknowledge":
            return {"acknowledged_at": row["acknowledged_at"] or at, "snoozed_until": None}, {}
        case "snooze":
            return {"snoozed_until": request.until}, {"until": request.until}
        case "assign":
            return {"owner": request.owner}, {"owner_before": row["owner"], "owner": request.owner}
        case "resolve":
            code = request.resolution_code or ""
            text = f"{RESOLUTIONS[code].capitalize()}{f': {request.note.strip()}' if request.note and request.note.strip() else '.'}"
            verdict = {FALSE_ALARM: "wrong", FIXED: "right"}.get(code) if row["judged_after"] is None else None
            values = {"resolved_at": at, "resolution": text, "resolution_code": code, "verdict": verdict}
            return values, {"resolution_code": code}


def _check(request: Handling, at: datetime) -> None:
    if request.action not in get_args(Action) or not request.request_id:
        raise AlertError(f"A request needs an id, and is one of {', '.join(get_args(Action))}.")
    for text in (request.request_id, request.exception_id, request.actor, request.note or "", request.owner or ""):
        if not is_storable(text) or len(text) > _LONGEST_NOTE:
            raise AlertError(f"A text holds a character that is no text, or has more than {_LONGEST_NOTE:,}; write it anew.")
    if request.action == "snooze" and (request.until is None or not at < request.until <= at + _LONGEST_SNOOZE):
        raise AlertError(f"A snooze ends later than now and within {_LONGEST_SNOOZE.days} days; nothing was changed.")
    if request.action == "resolve" and request.resolution_code not in RESOLUTIONS:
        raise AlertError(f"It is resolved as one of {', '.join(RESOLUTIONS)}; got {request.resolution_code!r}.")
    if request.action == "assign" and not 0 < len((request.owner or "").strip()) <= _LONGEST_OWNER:
        raise AlertError("It is assigned to an operator or a team; name one.")


def _locked(conn: sa.Connection, name: str) -> dict[str, Any]:
    """The exception that the name stands for, locked."""
    begins = sa.select(exception.c.exception_id).where(exception.c.exception_id.startswith(name, autoescape=True)).limit(2)
    found: list[str] = list(conn.execute(begins).scalars())
    if not name or not found:
        raise AlertError(f"There is no exception {name!r}; ordercast alerts lists them.")
    if len(found) > 1:
        raise AlertError(f"More than one exception begins with {name!r}; write more of the id.")
    chosen = sa.select(exception).where(exception.c.exception_id == found[0]).with_for_update()
    return dict(conn.execute(chosen).mappings().one())


def _called(row: Mapping[str, Any]) -> str:
    return f"Exception {row['exception_id'][:8]} ({row['title'] or row['kind'].replace('_', ' ')})"
