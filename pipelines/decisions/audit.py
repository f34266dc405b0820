"""The audit log: who changed what, chained by hashes so that no row can be edited, deleted or moved unseen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.stores.draft_lines import read_audit_head
from pipelines.stores.own_tables import audit_head, audit_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipelines.stores.operational import OperationalStore

SYSTEM: Final = "ordercast"  # the actor where no person acts: a run, or what the shop reports
_HASHED: Final = ("seq", "at", "actor", "decision_id", "rec_id", "from_state", "to_state", "before", "after", "prev_hash")
_SHOWN_PROBLEMS: Final = 1_000


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last row of the log: its number and hash; 0 and "" where there is none."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What verifying found: the rows that were read, the last of them, and a sentence on each problem."""

    rows_count: int
    head: AuditHead
    problems: tuple[str, ...]


def canonical_json(value: Any) -> str:
    """The value as JSON that is the same bytes whenever it is the same value: sorted keys, no spaces, dates and decimals as text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def append(
    conn: sa.Connection,
    *,
    actor: str,
    rec_id: str | None = None,
    decision_id: str | None = None,
    states: tuple[str | None, str | None] = (None, None),
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> AuditHead:
    """One more row stands at the end of the log. Until the caller's transaction ends, others who append wait.

    Args:
        conn: The caller's transaction.
        actor: Who did it.
        rec_id: The recommendation it is about, if any.
        decision_id: The decision behind it, if any.
        states: Its status before and after.
        before: What was.
        after: What is.
    """
    head = conn.execute(sa.select(audit_head.c.seq, audit_head.c.hash).with_for_update()).one()
    row = {
        "seq": head.seq + 1, "at": datetime.now(UTC).isoformat(timespec="microseconds"), "actor": actor, "decision_id": decision_id,
        "rec_id": rec_id, "from_state": states[0], "to_state": states[1], "before": canonical_json(before),
        "after": canonical_json(after), "prev_hash": head.hash,
    }  # fmt: skip
    row["hash"] = _row_hash(row)
    conn.execute(sa.insert(audit_log).values(row))
    conn.execute(sa.update(audit_head).values(seq=row["seq"], hash=row["hash"]))
    return AuditHead(row["seq"], row["hash"])


def head(store: OperationalStore) -> AuditHead:
    """The end of the log now; a release keeps it, so that a log rewritten as a whole is found too."""
    return AuditHead(*read_audit_head(store))


def verify(store: OperationalStore, *, known_heads: Iterable[AuditHead] = ()) -> AuditReport:
    """Every row of the log is checked against its hash, its place and the row before it, and the end against what was noted of it.

    Finds a row that was edited, deleted, inserted or moved, rows cut off at the end, and, by heads that were kept elsewhere, a log
    that was rewritten from some row on with all its hashes.

    Args:
        store: The operational store.
        known_heads: Ends of the log as releases kept them.
    """
    kept: dict[int, set[str]] = {}
    for one in known_heads:
        kept.setdefault(one.seq, set()).add(one.hash)
    problems: list[str] = []
    last = AuditHead(0, "")
    count = 0
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(audit_log.name):
            return AuditReport(0, last, tuple(f"A release kept row {seq}, but there is no log." for seq in sorted(kept) if seq > 0))
        noted = conn.execute(sa.select(audit_head.c.seq, audit_head.c.hash)).all()
        for row in conn.execute(sa.select(audit_log).order_by(audit_log.c.seq)).mappings():
            count += 1
            problems += _problems(row, last)
            if any(known != row["hash"] for known in kept.pop(row["seq"], ())):
                problems.append(f"Row {row['seq']} is not the one that a release kept: the log was rewritten before it or there.")
            last = AuditHead(row["seq"], row["hash"])
    if [tuple(one) for one in noted] != [(last.seq, last.hash)]:
        problems.append(f"The log ends at row {last.seq}, but its noted end is {', '.join(str(one.seq) for one in noted) or 'missing'}.")
    problems += [f"A release kept row {seq}, but the log ends at row {last.seq}." for seq in sorted(kept) if seq > 0]
    return AuditReport(count, last, tuple(problems[:_SHOWN_PROBLEMS]))


def _problems(row: Mapping[Any, Any], last: AuditHead) -> list[str]:
    """What is wrong with a row that follows the row `last`."""
    found = []
    if row["seq"] != last.seq + 1:
        found.append(f"Row {row['seq']} follows row {last.seq}: rows are missing.")
    if row["prev_hash"] != last.hash:
        found.append(f"Row {row['seq']} does not continue row {last.seq}: a row was edited, removed or moved.")
    if row["hash"] != _row_hash(row):
        found.append(f"Row {row['seq']} ({row['actor']}, {row['at']}) was edited: its hash does not match.")
    return found


def _row_hash(row: Mapping[Any, Any]) -> str:
    return digest([row[name] for name in _HASHED])


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")
