"""Failures of runs are noted at once, and what is late is found without a run; also while the operational store is down."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pipelines.alerts.digests import local_time, make_digests, send_digests
from pipelines.alerts.exceptions import AlertCounts, Look, record_findings
from pipelines.alerts.findings import Finding
from pipelines.alerts.platform_rules import unreadable_findings
from pipelines.alerts.rule_book import standing_rules
from pipelines.alerts.rules import AlertRule
from pipelines.alerts.telling import alert_key, alert_payload, note_told, tell
from pipelines.delivery.message import Message
from pipelines.delivery.outbox import deliver
from pipelines.delivery.targets import open_target
from pipelines.errors import OrdercastError, ReleaseError, UnavailableError
from pipelines.steps.alerts import RUN_FAILED, look_at, open_sight
from pipelines.stores.grants import RECOMMENDER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release, open_served
from pipelines.stores.waiting_failures import WaitingFailure, repeated, waiting_failures

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from pipelines.delivery.message import Target
    from pipelines.settings import Settings

logger = logging.getLogger("ordercast.alerts")

DIGEST_HOUR: Final = 6  # of the zone that schedules go by; a look before it leaves the day's digest to a later one
_LONGEST_MESSAGE: Final = 600
DAILY: Final = "ordercast"  # the job that does everything, as Dagster calls it
_CHECK: Final = "check"
# What the channel is told in the store's place: the rules are in the store.
_DEFAULT_RULE: Final = AlertRule(
    rule_id="run-failed", version=1, kind=RUN_FAILED, parameters={}, owner="operations", due_hours=4, quiet_hours=0, severity="critical",
    is_told=True, is_enabled=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFailure:
    """A run that stopped: of which job, at which step, why, and which run where it has a name."""

    job: str
    step: str
    message: str
    run_id: str | None = None

    @property
    def subject(self) -> str:
        """The same job stopping at the same step is the same failure."""
        return f"{self.job}/{self.step}"


def utc_now() -> datetime:
    """The wall clock, UTC without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def note_failure(settings: Settings, failure: RunFailure, *, at: datetime | None = None) -> None:
    """The failure is an exception, or waits in the home folder to become one, and the channel was told once. Nothing is raised.

    Args:
        settings: Where the store and the home folder are, and the channel.
        failure: What stopped.
        at: The wall clock, UTC without zone.
    """
    now = at or utc_now()
    with suppress(OrdercastError, OSError):
        target = open_target(settings)
        try:
            with OperationalStore.open(settings.resolved_store_url, role=RECOMMENDER) as store:
                store.migrate()
                _take_up(store, settings, tells=target is not None)
                _record(store, [_finding(failure)], _look(failure, now), tells=target is not None)
                _deliver(store, target, settings, now)
        except OrdercastError as exc:
            logger.warning("The failure is kept in %s until the store answers: %s", settings.resolved_home, exc)
            _keep(settings, failure, target, now)


def note_success(settings: Settings, job: str, *, run_id: str | None = None, at: datetime | None = None) -> None:
    """Failures of this job have recovered, and the channel was told. Nothing is raised."""
    now = at or utc_now()
    with suppress(OrdercastError, OSError):
        target = open_target(settings)
        with OperationalStore.open(settings.resolved_store_url, role=RECOMMENDER) as store:
            store.migrate()
            _take_up(store, settings, tells=target is not None)
            look = Look(look_id=run_id or uuid.uuid4().hex, at=now)
            if _record(store, [], look, tells=target is not None, job=job).recovered:
                _deliver(store, target, settings, now)


def check(settings: Settings, *, at: datetime | None = None) -> dict[str, Any]:
    """What is late by the wall clock has been looked at without a run; failures that waited are exceptions; digests are sent once a day.

    Returns:
        Counts over the rules that were looked at, `waiting` failures that were taken up, `digests` written, and `not_available` reasons.

    Raises:
        StoreUnavailableError: The store did not answer. What waits still waits, and the channel was told of it once.
    """
    now, target = at or utc_now(), open_target(settings)
    tells = target is not None
    try:
        with OperationalStore.open(settings.resolved_store_url, role=RECOMMENDER) as store:
            store.migrate()
            taken = _take_up(store, settings, tells=tells)
            _record(store, [], Look(look_id=f"check {now.isoformat()}", at=now), tells=tells, job=_CHECK)  # the store answers
            total, unable = AlertCounts(), []
            for rule in (one for one in standing_rules(store) if one.kind == "data_late" and one.is_enabled):
                counts, reason = _look_for_late_data(store, settings, rule, now, tells=tells)
                total += counts
                unable += [reason] if reason else []
            zone = settings.time_zone or "UTC"
            is_time = tells and local_time(now, zone).hour >= DIGEST_HOUR
            digests = send_digests(store, make_digests(store, at=now, time_zone=zone), at=now) if is_time else 0
            _deliver(store, target, settings, now)
    except UnavailableError as exc:
        _keep(settings, RunFailure(_CHECK, "store", str(exc)), target, now)
        raise
    return {
        "raised": total.raised, "again": total.again, "recovered": total.recovered, "settled": total.settled, "waiting": taken,
        "digests": digests, "not_available": unable,
    }  # fmt: skip


def _look_for_late_data(
    store: OperationalStore, settings: Settings, rule: AlertRule, now: datetime, *, tells: bool
) -> tuple[AlertCounts, str | None]:
    look = Look(look_id=f"check {now.isoformat()}", at=now)
    try:
        if current_release(settings.releases_path) is None:  # before the first run nothing is late
            return AlertCounts(), f"{rule.rule_id}: not available: needs a release; run ordercast run"
        with open_served(settings.releases_path) as (release, conn):
            sight = open_sight(conn, release, at=now)
            findings, look = look_at(sight, rule), replace(look, as_of=sight.as_of)
    except ReleaseError as exc:
        findings = unreadable_findings(str(exc))
    if findings.not_available is not None:
        return AlertCounts(), f"{rule.rule_id}: {findings.not_available}"
    also = partial(tell, rule=rule, at=now) if tells else None
    return record_findings(store, rule, findings.found, look, may_recover=findings.lets_recover, also=also), None


def _record(
    store: OperationalStore, findings: list[Finding], look: Look, *, tells: bool, job: str | None = None,
    ids: dict[str, str] | None = None,
) -> AlertCounts:  # fmt: skip
    """Failures under every rule that looks for them; with a job, its failures that were not found have recovered."""
    total = AlertCounts()
    for rule in _run_rules(store):
        total += record_findings(
            store, rule, findings, look, ids=ids, may_recover=lambda subject: job is not None and subject.startswith(f"{job}/"),
            also=partial(tell, rule=rule, at=look.at) if tells else None,
        )  # fmt: skip
    return total


def _run_rules(store: OperationalStore) -> Iterator[AlertRule]:
    return (rule for rule in standing_rules(store) if rule.kind == RUN_FAILED and rule.is_enabled)


def _take_up(store: OperationalStore, settings: Settings, *, tells: bool) -> int:
    """What waited in the home folder is exceptions now; returns how many. A second time it changes nothing."""
    with waiting_failures(settings.resolved_home) as waiting:
        taken = len(waiting)
        for one in waiting:
            finding = _finding_of(one.subject, one.message, times=one.count)
            look = Look(look_id=f"waiting {one.exception_id} {one.count}", at=one.first_at)
            for rule in _run_rules(store):
                also = partial(_note_told, rule=rule, one=one, tells=tells)
                record_findings(
                    store, rule, [finding], look, may_recover=lambda _: False, ids={one.subject: one.exception_id}, also=also
                )  # fmt: skip
        waiting.clear()
    return taken


def _note_told(conn: sa.Connection, *, rule: AlertRule, one: WaitingFailure, tells: bool) -> None:
    """What the channel has heard of already is not told again."""
    if one.is_told:
        note_told(conn, one.exception_id, key=_key(one.exception_id))
    if tells:
        tell(conn, rule, at=one.last_at)


def _keep(settings: Settings, failure: RunFailure, target: Target | None, now: datetime) -> None:
    """The failure waits in the home folder, and the channel is told of it until it has it."""
    with waiting_failures(settings.resolved_home) as waiting:
        place = next((i for i, one in enumerate(waiting) if one.subject == failure.subject), None)
        if place is None:
            waiting.append(WaitingFailure(uuid.uuid4().hex, failure.subject, _short(failure.message), now, now))
            place = len(waiting) - 1
        else:
            waiting[place] = repeated(waiting[place], message=_short(failure.message), at=now)
    if target is None or waiting[place].is_told:
        return
    outcome = target.send(_message(waiting[place]))
    # What may have arrived is not sent again, unless the receiver knows it by its key.
    if outcome.result in ("delivered", "refused") or (outcome.result == "unknown" and not target.honours_key):
        told = waiting[place].exception_id
        with waiting_failures(settings.resolved_home) as standing:
            standing[:] = [replace(one, is_told=True) if one.exception_id == told else one for one in standing]


def _message(one: WaitingFailure) -> Message:
    """What the outbox would have said, under the key that it will be known by there."""
    finding = _finding_of(one.subject, one.message, times=1)
    row = {
        "exception_id": one.exception_id, "title": finding.title, "detail": finding.detail, "owner": None, "due_at": None,
        "expected_amount": None, "currency_code": None, "link": finding.link, "opened_at": one.first_at, "resolution": None,
    }  # fmt: skip
    return Message(
        idem_key=_key(one.exception_id), rec_id=None, payload=alert_payload("raised", _DEFAULT_RULE, [row]), created_at=one.first_at
    )


def _key(exception_id: str) -> str:
    return alert_key("raised", [exception_id])


def _look(failure: RunFailure, at: datetime) -> Look:
    return Look(look_id=failure.run_id or uuid.uuid4().hex, at=at)


def _finding(failure: RunFailure) -> Finding:
    return _finding_of(failure.subject, failure.message, times=1, run_id=failure.run_id)


def _finding_of(subject: str, message: str, *, times: int, run_id: str | None = None) -> Finding:
    job, _, step = subject.partition("/")
    again = f" It was met {times} times while the store was down." if times > 1 else ""
    return Finding(
        subject=subject, title=f"Run of {job}, at {step}", detail=f"The run of {job} stopped at {step}: {_short(message)}{again}",
        link="health", evidence={"run_id": run_id}, times=times,
    )  # fmt: skip


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}..."


def _deliver(store: OperationalStore, target: Target | None, settings: Settings, now: datetime) -> None:
    if target is not None:
        deliver(store, target, attempts=settings.outbox_attempts, clock=lambda: now)
