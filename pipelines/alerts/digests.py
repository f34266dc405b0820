"""One message a day to each owner: what is open, new, overdue, and resolved since the last one, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from pipelines.alerts.exceptions import DUE
from pipelines.alerts.listing import ExceptionEntry, list_exceptions
from pipelines.alerts.telling import alert_key, write_alert
from pipelines.decisions.audit import canonical_json
from pipelines.stores.own_tables import outbox

if TYPE_CHECKING:
    from pipelines.stores.operational import OperationalStore

UNOWNED: Final = "nobody"
_REMEMBERED_DAYS: Final = 31  # an owner without a digest for longer is told of one day
_MOST_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Digest:
    """What an owner is told on a day.

    Attributes:
        since: What was opened or resolved later than this is new; UTC without zone.
        open: What is open or acknowledged, worst first.
        new: How many of these were opened since.
        overdue: How many of these are past their due time.
        snoozed: How many sleep.
        resolved: What was resolved since.
    """

    digest_date: date
    owner: str
    since: datetime
    open: tuple[ExceptionEntry, ...]
    new: int
    overdue: int
    snoozed: int
    resolved: tuple[ExceptionEntry, ...]

    @property
    def key(self) -> str:
        """What its message is called outside: one a day and owner."""
        return _key(self.owner, self.digest_date)

    def payload(self) -> str:
        """The message as canonical JSON: the counts, and at most 20 of what is open and of what was resolved."""
        counts = {"open": len(self.open), "new": self.new, "overdue": self.overdue, "snoozed": self.snoozed, "resolved": len(self.resolved)}
        return canonical_json({
            "type": "alert.digest", "owner": self.owner, "digest_date": self.digest_date, "counts": counts,
            "exceptions": [_listed(one) for one in self.open[:_MOST_LISTED]],
            "resolved": [_listed(one) for one in self.resolved[:_MOST_LISTED]],
        })  # fmt: skip


def make_digests(store: OperationalStore, *, at: datetime, time_zone: str = "UTC", owner: str | None = None) -> list[Digest]:
    """What each owner would be told now, by name; owners of whom nothing is open and nothing was resolved are left out.

    Args:
        store: The operational store.
        at: The wall clock, UTC without zone.
        time_zone: In which days begin.
        owner: Only this one's.
    """
    known = list_exceptions(
        store, states=("open", "acknowledged", "snoozed", "resolved"), since=at - timedelta(days=_REMEMBERED_DAYS), at=at
    )
    owners = sorted({one.owner or UNOWNED for one in known})
    today = local_time(at, time_zone).date()
    since = _last_told(store, owners, at, today)
    digests = []
    for name in owners if owner is None else [one for one in owners if one == owner]:
        mine = [one for one in known if (one.owner or UNOWNED) == name]
        standing = tuple(one for one in mine if one.state in DUE)
        resolved = tuple(one for one in mine if one.resolved_at is not None and one.resolved_at > since[name])
        if standing or resolved:
            new = sum(one.opened_at > since[name] for one in standing)
            overdue, snoozed = sum(one.is_overdue for one in standing), sum(one.state == "snoozed" for one in mine)
            digests.append(Digest(today, name, since[name], standing, new, overdue, snoozed, resolved))
    return digests


def send_digests(store: OperationalStore, digests: list[Digest], *, at: datetime) -> int:
    """Each digest waits in the outbox, once a day and owner however often this is called; returns how many are new."""
    with store.transaction() as conn:
        return sum(write_alert(conn, key=one.key, payload=one.payload(), at=at) for one in digests)


def local_time(at: datetime, time_zone: str) -> datetime:
    """A moment, UTC without zone, by the clock of this zone."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(time_zone))


def _last_told(store: OperationalStore, owners: list[str], at: datetime, today: date) -> dict[str, datetime]:
    """When each owner's last digest of an earlier day was written; a day ago where there is none."""
    days = [today - timedelta(days=back) for back in range(1, _REMEMBERED_DAYS + 1)]
    keys = {_key(owner, day): owner for owner in owners for day in days}
    told = dict.fromkeys(owners, at - timedelta(days=1))
    if not keys:
        return told
    written = sa.select(outbox.c.idem_key, outbox.c.created_at).where(outbox.c.idem_key.in_(list(keys))).order_by(outbox.c.created_at)
    with store.transaction(writes=False) as conn:
        for row in conn.execute(written):
            told[keys[row.idem_key]] = row.created_at
    return told


def _key(owner: str, day: date) -> str:
    return alert_key("digest", [owner, day.isoformat()])


def _listed(one: ExceptionEntry) -> dict[str, Any]:
    names = (
        "exception_id",
        "title",
        "detail",
        "severity",
        "state",
        "due_at",
        "is_overdue",
        "expected_amount",
        "currency_code",
        "link",
        "resolution",
    )
    return {name: getattr(one, name) for name in names}
