"""Exceptions as rules make them: raised once per subject, seen again in place, recovered by themselves; and the states they can be in."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.decisions.audit import SYSTEM, canonical_json
from pipelines.stores.own_tables import exception, exception_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from pipelines.alerts.findings import Finding
    from pipelines.alerts.rules import AlertRule
    from pipelines.stores.operational import OperationalStore

State = Literal["open", "acknowledged", "snoozed", "resolved"]
DUE: Final[tuple[State, ...]] = ("open", "acknowledged")  # somebody has to do something about these
RECOVERED: Final = "recovered"
RULE_ENDED: Final = "rule_ended"
FIXED: Final = "fixed"
ACCEPTED: Final = "accepted"
FALSE_ALARM: Final = "false_alarm"
PROMISE_KIND: Final = "promise_kind"  # as the line of history that raises an exception calls it
_LASTING: Final = (ACCEPTED, FALSE_ALARM)  # settled for as long as it lasts, however seldom the rule looks
_LEAST_QUIET: Final = timedelta(hours=1)
# What a person may resolve one with.
RESOLUTIONS: Final[dict[str, str]] = {
    FIXED: "what was wrong is put right", ACCEPTED: "it is so, and nothing is to be done",
    FALSE_ALARM: "it was not so, or no reason to look",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlertCounts:
    """What looks did: `again` were open and were seen again, `settled` are there but a person has settled them."""

    raised: int = 0
    again: int = 0
    recovered: int = 0
    settled: int = 0

    def __add__(self, other: AlertCounts) -> AlertCounts:
        """What both looks did."""
        return AlertCounts(
            self.raised + other.raised, self.again + other.again, self.recovered + other.recovered, self.settled + other.settled
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the data by one rule.

    Attributes:
        look_id: What it is called: a look that is repeated counts once.
        at: The wall clock, UTC without zone.
        as_of: The last complete day of the data looked at; None where it was no look at data.
        currency_code: Of the amounts; None where there are none.
        time_zone: The merchant's, in which days end.
    """

    look_id: str
    at: datetime
    as_of: date | None = None
    currency_code: str | None = None
    time_zone: str = "UTC"


def state_of(row: Mapping[Any, Any], *, at: datetime) -> State:
    """Where an exception stands at this moment; a snooze ends by itself."""
    if row["resolved_at"] is not None:
        return "resolved"
    if row["snoozed_until"] is not None and row["snoozed_until"] > at:
        return "snoozed"
    return "open" if row["acknowledged_at"] is None else "acknowledged"


def record_findings(
    store: OperationalStore,
    rule: AlertRule,
    findings: Sequence[Finding],
    look: Look,
    *,
    may_recover: Callable[[str], bool] = lambda _: True,
    ids: Mapping[str, str] | None = None,
    also: Callable[[sa.Connection], None] | None = None,
) -> AlertCounts:
    """The rule's open exceptions are those of the findings: one transaction, and of any number of evaluators one raises each.

    A subject that is open already is brought up to date in place. One that had recovered within the rule's quiet hours goes on as the
    same exception. What a person has settled is left alone: as `fixed` it is raised anew if it is still there after the quiet hours,
    as `accepted` or a false alarm only once it was gone for as long. What is open and was not found has recovered. A finding that does not
    raise counts where its subject is open, and else not at all.

    Args:
        store: The operational store.
        rule: The rule.
        findings: What was found; one per subject.
        look: When and at what.
        may_recover: Whether a subject that was not found was looked at, so that it has recovered.
        ids: Ids that new exceptions are to have, by subject.
        also: Written in the same transaction, after the exceptions.
    """
    with store.transaction() as conn:
        if store.dialect == "postgresql":  # else two evaluators would each find nothing open
            conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"ordercast.alerts.{rule.rule_id}"})
        newest = _newest_by_subject(conn, rule, at=look.at)
        is_open = {subject for subject, row in newest.items() if row["resolved_at"] is None}
        found = {one.subject: one for one in findings if one.raises or one.subject in is_open}
        counts = {"raised": 0, "again": 0, "recovered": 0, "settled": 0}
        for subject, finding in found.items():
            counts[_record(conn, rule, finding, look=look, before=newest.get(subject), exception_id=(ids or {}).get(subject))] += 1
        gone = [newest[subject] for subject in newest if subject in is_open - found.keys() and may_recover(subject)]
        for row in gone:
            resolve_row(conn, row, code=RECOVERED, text="The condition is gone.", at=look.at, actor=SYSTEM)
        counts["recovered"] = len(gone)
        _note_missing(conn, [newest[subject] for subject in newest if subject not in found and may_recover(subject)])
        if also is not None:
            also(conn)
    return AlertCounts(**counts)


def end_other_rules(store: OperationalStore, enabled: Iterable[str], *, at: datetime) -> int:
    """Exceptions of all rules but these, which alone count, are resolved; returns how many. Those that no rule raised stay."""
    is_over = sa.and_(exception.c.rule_id.is_not(None), exception.c.rule_id.not_in(list(enabled)))
    chosen = sa.select(exception).where(is_over, exception.c.resolved_at.is_(None)).with_for_update()
    with store.transaction() as conn:
        rows = [dict(row) for row in conn.execute(chosen).mappings()]
        for row in rows:
            resolve_row(conn, row, code=RULE_ENDED, text="Its rule is disabled or reverted.", at=at, actor=SYSTEM)
    return len(rows)


def resolve_row(conn: sa.Connection, row: Mapping[Any, Any], *, code: str, text: str, at: datetime, actor: str) -> None:
    """The exception is resolved, by whom and why; the caller holds its row."""
    values = {"resolved_at": at, "resolution": text, "resolution_code": code}
    conn.execute(sa.update(exception).where(exception.c.exception_id == row["exception_id"]).values(**values))
    append_event(conn, row, action="resolved", at=at, actor=actor, to_state="resolved", note=text, facts={"resolution_code": code})


def append_event(
    conn: sa.Connection,
    row: Mapping[Any, Any],
    *,
    action: str,
    at: datetime,
    actor: str,
    to_state: State,
    note: str | None = None,
    facts: Mapping[str, Any] | None = None,
    event_id: str | None = None,
    request_hash: str | None = None,
) -> None:
    """One more line of the exception's history; the caller holds its row."""
    numbers = sa.select(sa.func.max(exception_event.c.number)).where(exception_event.c.exception_id == row["exception_id"])
    last = None if action == "raised" else conn.execute(numbers).scalar()
    conn.execute(
        sa.insert(exception_event).values(
            event_id=event_id or uuid.uuid4().hex, exception_id=row["exception_id"], number=(last or 0) + 1, at=at, actor=actor,
            action=action, from_state=None if action == "raised" else state_of(row, at=at), to_state=to_state, note=note,
            facts=None if facts is None else canonical_json(facts), request_hash=request_hash,
        )
    )  # fmt: skip


def _newest_by_subject(conn: sa.Connection, rule: AlertRule, *, at: datetime) -> dict[str, dict[str, Any]]:
    """The open exception of each subject, else the one resolved last that still counts; locked.

    One that was resolved counts for the quiet hours, and where a person said that nothing is to be done, as long as no look missed it.
    """
    since = at - _quiet(rule)
    lasts = sa.and_(exception.c.resolution_code.in_(_LASTING), exception.c.last_seen_in.is_not(None))
    counts_still = sa.or_(exception.c.resolved_at.is_(None), exception.c.resolved_at > since, exception.c.last_seen_at > since, lasts)
    chosen = sa.select(exception).where(exception.c.rule_id == rule.rule_id, counts_still).order_by(exception.c.opened_at)
    newest: dict[str, dict[str, Any]] = {}
    for row in conn.execute(chosen.with_for_update()).mappings():
        before = newest.get(row["subject"])
        if before is None or before["resolved_at"] is not None:
            newest[row["subject"]] = dict(row)
    return newest


def _record(
    conn: sa.Connection, rule: AlertRule, finding: Finding, *, look: Look, before: Mapping[str, Any] | None, exception_id: str | None
) -> Literal["raised", "again", "settled"]:
    if before is None:
        return _raise(conn, rule, finding, look=look, exception_id=exception_id)
    values = _seen(rule, finding, look) | {
        "seen_count": before["seen_count"] + (finding.times if before["last_seen_in"] != look.look_id else 0)
    }
    mine = exception.c.exception_id == before["exception_id"]
    if before["resolved_at"] is None:
        conn.execute(sa.update(exception).where(mine).values(**values))
        return "again"
    code = before["resolution_code"]
    is_quiet_over = look.at - before["resolved_at"] >= timedelta(hours=rule.quiet_hours)
    if code == RULE_ENDED or (code in (RECOVERED, FIXED) and is_quiet_over):
        return _raise(conn, rule, finding, look=look, exception_id=exception_id)
    if code == RECOVERED:
        back = {"resolved_at": None, "resolution": None, "resolution_code": None}
        conn.execute(sa.update(exception).where(mine).values(**values, **back))
        state = state_of(dict(before) | back, at=look.at)
        append_event(conn, before, action="came back", at=look.at, actor=SYSTEM, to_state=state, note=finding.detail)
        return "again"
    is_gone = before["last_seen_in"] is None and look.at - max(before["resolved_at"], before["last_seen_at"]) >= _quiet(rule)
    if code in _LASTING and is_gone:
        return _raise(conn, rule, finding, look=look, exception_id=exception_id)
    conn.execute(sa.update(exception).where(mine).values(last_seen_at=look.at, last_seen_in=look.look_id))
    return "settled"


def _note_missing(conn: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """What a person has settled for as long as it lasts, and this look did not find, was last seen in no look."""
    missing = [row["exception_id"] for row in rows if row["resolution_code"] in _LASTING and row["last_seen_in"] is not None]
    for exception_id in missing:
        conn.execute(sa.update(exception).where(exception.c.exception_id == exception_id).values(last_seen_in=None))


def _quiet(rule: AlertRule) -> timedelta:
    """How long what a person has settled stays so: a rule without quiet hours would raise it again at the next look."""
    return max(timedelta(hours=rule.quiet_hours), _LEAST_QUIET)


def _raise(conn: sa.Connection, rule: AlertRule, finding: Finding, *, look: Look, exception_id: str | None) -> Literal["raised", "again"]:
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    row = _seen(rule, finding, look) | {
        "exception_id": exception_id or uuid.uuid4().hex, "kind": rule.kind, "rule_id": rule.rule_id, "subject": finding.subject,
        "owner": finding.owner or rule.owner, "opened_at": look.at, "due_at": _due_at(rule, finding, look),
        "as_of_date": look.as_of, "judged_after": finding.judged_after,
        "seen_count": finding.times,
    }  # fmt: skip
    written = conn.execute(insert(exception).values(**row).on_conflict_do_nothing().returning(exception.c.exception_id)).first()
    if written is None:
        return "again"  # somebody else's look has raised it at this moment
    facts = {"rule": rule.name} | ({} if finding.promise_kind is None else {PROMISE_KIND: finding.promise_kind})
    append_event(conn, row, action="raised", at=look.at, actor=SYSTEM, to_state="open", note=finding.detail, facts=facts)
    return "raised"


def _due_at(rule: AlertRule, finding: Finding, look: Look) -> datetime:
    """The rule's hours from now, and not after the end of the day that it is about, where that is ahead."""
    due_at = look.at + timedelta(hours=rule.due_hours)
    if finding.day is None:
        return due_at
    midnight = datetime.combine(finding.day + timedelta(days=1), time(), tzinfo=ZoneInfo(look.time_zone))
    ends_at = midnight.astimezone(UTC).replace(tzinfo=None)
    return min(due_at, ends_at) if ends_at > look.at else due_at


def _seen(rule: AlertRule, finding: Finding, look: Look) -> dict[str, Any]:
    return {
        "rule_version": rule.version, "title": finding.title, "detail": finding.detail, "severity": rule.severity, "last_seen_at": look.at,
        "last_seen_in": look.look_id, "probability": finding.probability, "stake_amount": finding.stake_amount,
        "expected_amount": finding.expected_amount, "currency_code": look.currency_code if finding.stake_amount is not None else None,
        "basis": finding.basis, "link": finding.link, "evidence": json.dumps(finding.evidence, sort_keys=True, default=str),
    }  # fmt: skip
