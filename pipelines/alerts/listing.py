"""Exceptions as people see them: ranked by what is expected to be lost, with those of drafts among them, and the history of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.alerts.exceptions import DUE, State, state_of
from pipelines.alerts.rules import SEVERITIES
from pipelines.errors import AlertError
from pipelines.stores.own_tables import exception, exception_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelines.stores.operational import OperationalStore

_DRAFT_SEVERITY: Final = "medium"  # of an exception about a decision, which no rule gave one
_DRAFT_LINK: Final = "reorder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionEntry:
    """An exception as lists show it; times are UTC without zone, amounts in `currency_code`.

    Attributes:
        state: open, acknowledged, snoozed or resolved.
        expected_amount: Probability times the amount at stake; None where no amount can be named. `basis` says how it was come by.
        is_overdue: Whether it is past its due time and neither snoozed nor resolved.
    """

    exception_id: str
    kind: str
    rule_id: str | None
    rec_id: str | None
    subject: str | None
    title: str
    detail: str
    state: State
    severity: str
    owner: str | None
    opened_at: datetime
    due_at: datetime | None
    is_overdue: bool
    last_seen_at: datetime | None
    seen_count: int
    snoozed_until: datetime | None
    probability: float | None
    stake_amount: Decimal | None
    expected_amount: Decimal | None
    currency_code: str | None
    basis: str | None
    link: str
    evidence: dict[str, Any]
    as_of_date: str | None
    resolved_at: datetime | None
    resolution: str | None
    resolution_code: str | None
    verdict: str | None
    lead_days: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an exception's history."""

    at: datetime
    actor: str
    action: str
    from_state: str | None
    to_state: str
    note: str | None
    facts: dict[str, Any]


def list_exceptions(
    store: OperationalStore,
    *,
    states: Iterable[State] = DUE,
    owner: str | None = None,
    rule_id: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    at: datetime | None = None,
) -> list[ExceptionEntry]:
    """Exceptions in these states, worst first: critical ones, then by expected amount, severity and due time. Empty in a store without any.

    Args:
        store: The operational store.
        states: Which to show.
        owner: Only this owner's.
        rule_id: Only this rule's.
        kind: Only of this kind, such as stock_out or draft_not_submitted.
        since: Of resolved ones, only those resolved after this time; None: all.
        at: The wall clock, UTC without zone; default is now.
    """
    now, wanted = at or datetime.now(UTC).replace(tzinfo=None), set(states)
    chosen = sa.select(exception)
    if "resolved" not in wanted:
        chosen = chosen.where(exception.c.resolved_at.is_(None))
    elif since is not None:
        chosen = chosen.where(sa.or_(exception.c.resolved_at.is_(None), exception.c.resolved_at > since))
    for column, value in ((exception.c.owner, owner), (exception.c.rule_id, rule_id), (exception.c.kind, kind)):
        if value is not None:
            chosen = chosen.where(column == value)
    with store.transaction(writes=False) as conn:
        if not _is_migrated(conn):
            return []
        entries = [_entry(row, now) for row in conn.execute(chosen).mappings()]
    return sorted((one for one in entries if one.state in wanted), key=_rank)


def find_exception(store: OperationalStore, name: str, *, at: datetime | None = None) -> tuple[ExceptionEntry, list[Event]]:
    """The exception that this id, or the beginning of it, stands for, and its history from the first line on.

    Raises:
        AlertError: There is none, or more than one.
    """
    now = at or datetime.now(UTC).replace(tzinfo=None)
    with store.transaction(writes=False) as conn:
        if not _is_migrated(conn) or not name:
            raise AlertError(f"There is no exception {name!r}; ordercast alerts lists them.")
        begins = sa.select(exception).where(exception.c.exception_id.startswith(name, autoescape=True)).limit(2)
        rows = conn.execute(begins).mappings().all()
        if len(rows) != 1:
            problem = "There is no exception" if not rows else "More than one exception begins with"
            raise AlertError(f"{problem} {name!r}; ordercast alerts lists them.")
        of_it = sa.select(exception_event).where(exception_event.c.exception_id == rows[0]["exception_id"])
        events = [
            Event(row["at"], row["actor"], row["action"], row["from_state"], row["to_state"], row["note"], json.loads(row["facts"] or "{}"))
            for row in conn.execute(of_it.order_by(exception_event.c.number)).mappings()
        ]
    return _entry(rows[0], now), events


def _entry(row: Mapping[Any, Any], at: datetime) -> ExceptionEntry:
    same = (
        "exception_id", "kind", "rule_id", "rec_id", "subject", "detail", "owner", "opened_at", "due_at", "last_seen_at", "snoozed_until",
        "probability", "stake_amount", "expected_amount", "currency_code", "basis", "resolved_at", "resolution", "resolution_code",
        "verdict", "lead_days",
    )  # fmt: skip
    state = state_of(row, at=at)
    return ExceptionEntry(
        **{name: row[name] for name in same},
        title=row["title"] or row["kind"].replace("_", " ").capitalize(),
        state=state,
        severity=row["severity"] or _DRAFT_SEVERITY,
        is_overdue=state in ("open", "acknowledged") and row["due_at"] is not None and row["due_at"] < at,
        seen_count=row["seen_count"] or 1,
        link=row["link"] or _DRAFT_LINK,
        evidence=json.loads(row["evidence"] or "{}"),
        as_of_date=None if row["as_of_date"] is None else row["as_of_date"].isoformat(),
    )


def _rank(one: ExceptionEntry) -> tuple[bool, Decimal, int, datetime, str]:
    """What is critical needs no amount to come first; what has none comes after what has one."""
    return (
        one.severity != "critical", -(one.expected_amount or Decimal(0)), -SEVERITIES.index(one.severity), one.due_at or one.opened_at,
        one.exception_id,
    )  # fmt: skip


def _is_migrated(conn: sa.Connection) -> bool:
    inspected = sa.inspect(conn)
    return inspected.has_table(exception.name) and inspected.has_table(exception_event.name)
