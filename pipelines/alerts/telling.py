"""What the channel is told of alerts: one message per rule and look that raised some, and one for those that are over; each once."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.alerts.exceptions import RECOVERED
from pipelines.decisions.audit import canonical_json
from pipelines.stores.own_tables import exception, outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pipelines.alerts.rules import AlertRule

About = Literal["raised", "resolved", "digest"]
_MOST_LISTED: Final = 20
_LISTED: Final = (
    "exception_id", "title", "detail", "owner", "due_at", "expected_amount", "currency_code", "link", "opened_at", "resolution",
)  # fmt: skip


def alert_key(about: About, parts: Iterable[str]) -> str:
    """What a message is called outside: 36 letters, digits and one underscore, the same whenever it says the same thing."""
    return f"alrt_{hashlib.sha256(canonical_json([about, sorted(parts)]).encode()).hexdigest()[:31]}"


def alert_payload(about: About, rule: AlertRule, rows: Sequence[Mapping[Any, Any]]) -> str:
    """The message as canonical JSON: the rule, at most 20 exceptions, those with most at stake first, and as `count` how many there are."""
    ranked = sorted(rows, key=lambda row: (-(row["expected_amount"] or 0), row["title"] or "", row["exception_id"]))
    listed = [{name: row[name] for name in _LISTED} for row in ranked[:_MOST_LISTED]]
    return canonical_json({
        "type": f"alert.{about}", "rule": rule.rule_id, "alert_kind": rule.kind, "severity": rule.severity, "count": len(rows),
        "exceptions": listed,
    })  # fmt: skip


def tell(conn: sa.Connection, rule: AlertRule, *, at: datetime) -> None:
    """What of this rule the channel has not been told waits in the outbox: exceptions that are open, and those of the told that are over.

    What recovered by itself is told once the quiet hours are over, since until then it may come back as the same exception; what was
    over before it was told at all never is. The caller's transaction has written the exceptions.
    """
    if not rule.is_told:
        return
    ours = sa.select(exception).where(exception.c.rule_id == rule.rule_id)
    raised = ours.where(exception.c.resolved_at.is_(None), exception.c.raised_message.is_(None))
    settled_before = at - timedelta(hours=rule.quiet_hours)
    over = ours.where(
        exception.c.raised_message.is_not(None), exception.c.resolved_message.is_(None), exception.c.resolved_at.is_not(None),
        sa.or_(exception.c.resolution_code != RECOVERED, exception.c.resolved_at <= settled_before),
    )  # fmt: skip
    for about, column, chosen in (("raised", exception.c.raised_message, raised), ("resolved", exception.c.resolved_message, over)):
        rows = [dict(row) for row in conn.execute(chosen).mappings()]
        if rows:
            ids = [row["exception_id"] for row in rows]
            key = alert_key(about, ids)  # type: ignore[arg-type]
            write_alert(conn, key=key, payload=alert_payload(about, rule, rows), at=at)  # type: ignore[arg-type]
            conn.execute(sa.update(exception).where(exception.c.exception_id.in_(ids)).values({column: key}))


def write_alert(conn: sa.Connection, *, key: str, payload: str, at: datetime) -> bool:
    """The message waits in the outbox, unless one of this key is there already; returns whether it is new."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    values = {"idem_key": key, "payload": payload, "state": "pending", "attempts": 0, "next_at": at, "is_in_doubt": False, "created_at": at}
    written = conn.execute(insert(outbox).values(values).on_conflict_do_nothing().returning(outbox.c.idem_key)).first()
    return written is not None


def note_told(conn: sa.Connection, exception_id: str, *, key: str) -> None:
    """The channel has heard of the exception by a message of this key, which was sent past the outbox."""
    mine = (exception.c.exception_id == exception_id, exception.c.raised_message.is_(None))
    conn.execute(sa.update(exception).where(*mine).values(raised_message=key))
