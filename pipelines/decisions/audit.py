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
    """What verifying found: the rows that were read, the last of them, and a sentence on each problem.

    `first_bad_seq` is the number of the first row that is not what it was, or is missing; None where nothing was found. Where a row was
    written anew with a hash that fits, the row after it tells, and the one named may be the neighbour.
    """

    rows_count: int
    head: AuditHead
    problems: tuple[str, ...]
    first_bad_seq: int | None = None


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
    found: list[tuple[int, str]] = []
    last = AuditHead(0, "")
    count = 0
    with store.transaction(writes=False, is_snapshot=True) as conn:  # the log and its end of one moment, while decisions go on
        if not sa.inspect(conn).has_table(audit_log.name):
            gone = tuple(f"A release kept row {seq}, but there is no log." for seq in sorted(kept) if seq > 0)
            return AuditReport(0, last, gone, min((seq for seq in kept if seq > 0), default=None))
        noted = [AuditHead(row.seq, row.hash) for row in conn.execute(sa.select(audit_head.c.seq, audit_head.c.hash))]
        for row in conn.execute(sa.select(audit_log).order_by(audit_log.c.seq)).mappings():
            count += 1
            found += _problems(row, last)
            if any(known != row["hash"] for known in kept.pop(row["seq"], ())):
                text = f"Row {row['seq']} is not the one that a release kept: the log was rewritten before it or there."
                found.append((row["seq"], text))
            last = AuditHead(row["seq"], row["hash"])
    found += _end_problems(noted, last)
    found += [(last.seq + 1, f"A release kept row {seq}, but the log ends at row {last.seq}.") for seq in sorted(kept) if seq > 0]
    problems = tuple(text for _, text in found[:_SHOWN_PROBLEMS])
    return AuditReport(count, last, problems, min((seq for seq, _ in found), default=None))


def _problems(row: Mapping[Any, Any], last: AuditHead) -> list[tuple[int, str]]:
    """What is wrong with a row that follows the row `last`, each with the number of the row that it says is bad."""
    found = []
    is_edited = row["hash"] != _row_hash(row)
    if row["seq"] != last.seq + 1:
        found.append((last.seq + 1, f"Row {row['seq']} follows row {last.seq}: rows are missing."))
    if row["prev_hash"] != last.hash:
        # rows that are missing explain it; else a row that is whole in itself speaks against the one before it
        place = last.seq if last.seq and row["seq"] == last.seq + 1 and not is_edited else last.seq + 1
        found.append((place, f"Row {row['seq']} does not continue row {last.seq}: a row was edited, removed or moved."))
    if is_edited:
        found.append((row["seq"], f"Row {row['seq']} ({row['actor']}, {row['at']}) was edited: its hash does not match."))
    return found


def _end_problems(noted: list[AuditHead], last: AuditHead) -> list[tuple[int, str]]:
    """What is wrong with the end of the log, beside the end that was noted."""
    if noted == [last]:
        return []
    said = ", ".join(str(one.seq) for one in noted) or "missing"
    place = max(1, last.seq) if any(one.seq == last.seq for one in noted) else min([last.seq, *(one.seq for one in noted)]) + 1
    return [(place, f"The log ends at row {last.seq}, but its noted end is {said}.")]


def _row_hash(row: Mapping[Any, Any]) -> str:
    return digest([row[name] for name in _HASHED])


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")
