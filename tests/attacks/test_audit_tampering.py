"""Whoever can switch the guards off edits, removes, moves, adds and cuts rows of the audit log; every one is found, and where it begins."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from pipelines.decisions.audit import AuditHead, append, digest, verify
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import audit_head, audit_log
from tests.integration.decision_shop import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.conftest import Size

    Rows = list[dict[str, Any]]

ROWS: Final = 30
RELEASES: Final = (10, 20, 30)  # rows at which a release kept the end
HASHED: Final = ("seq", "at", "actor", "decision_id", "rec_id", "from_state", "to_state", "before", "after", "prev_hash")
EDITABLE: Final = ("at", "actor", "decision_id", "rec_id", "from_state", "to_state", "before", "after", "prev_hash", "hash")


@dataclass(frozen=True, slots=True)
class Tampered:
    """A log after an attack, the row at which it stopped to be what it was, and the end that is noted; None where that was left alone."""

    rows: Rows
    first_bad_seq: int
    noted: AuditHead | None = None


def edited(rows: Rows, draw: random.Random) -> Tampered:
    place, column = draw.randrange(ROWS), draw.choice(EDITABLE)
    rows[place][column] = f"x{rows[place][column]}"
    return Tampered(rows, place + 1)


def edited_with_its_hash(rows: Rows, draw: random.Random) -> Tampered:
    place = draw.randrange(ROWS)
    rows[place]["actor"] = "mallory"
    rows[place]["hash"] = hash_of(rows[place])
    return Tampered(rows, place + 1)


def deleted(rows: Rows, draw: random.Random) -> Tampered:
    place = draw.randrange(ROWS)
    del rows[place : place + draw.randint(1, 3)]
    return Tampered(rows, place + 1)


def closed_up(rows: Rows, draw: random.Random) -> Tampered:
    """Deleted, and those after it count on without a gap."""
    place = draw.randrange(ROWS)
    del rows[place]
    for number, row in enumerate(rows, start=1):
        row["seq"] = number
    return Tampered(rows, place + 1)


def reordered(rows: Rows, draw: random.Random) -> Tampered:
    one, other = sorted(draw.sample(range(ROWS), 2))
    rows[one]["seq"], rows[other]["seq"] = other + 1, one + 1
    return Tampered(sorted(rows, key=lambda row: row["seq"]), one + 1)


def inserted(rows: Rows, draw: random.Random) -> Tampered:
    """A row that continues the one before it without a fault; those after it make room."""
    place = draw.randrange(1, ROWS)
    for row in rows[place:]:
        row["seq"] += 1
    forged = rows[place - 1] | {"seq": place + 1, "prev_hash": rows[place - 1]["hash"], "actor": "mallory"}
    rows.insert(place, forged | {"hash": hash_of(forged)})
    return Tampered(rows, place + 1)


def cut(rows: Rows, draw: random.Random) -> Tampered:
    place = draw.randrange(ROWS)
    return Tampered(rows[:place], place + 1)


def cut_and_noted(rows: Rows, draw: random.Random) -> Tampered:
    """The end is cut off, and the noted end says it was always there: only a release knows better."""
    place = draw.randrange(ROWS)
    left = rows[:place]
    return Tampered(left, place + 1, AuditHead(place, left[-1]["hash"] if left else ""))


def rewritten(rows: Rows, draw: random.Random) -> Tampered:
    """A row is edited and every hash from there on is computed anew, the noted end too: only a release knows better."""
    place = draw.randrange(ROWS)
    rows[place]["actor"] = "mallory"
    for number in range(place, ROWS):
        rows[number]["prev_hash"] = rows[number - 1]["hash"] if number else ""
        rows[number]["hash"] = hash_of(rows[number])
    kept = next(release for release in RELEASES if release >= place + 1)
    return Tampered(rows, kept, AuditHead(ROWS, rows[-1]["hash"]))  # the first that a release can tell is not its own


ATTACKS: Final = (edited, edited_with_its_hash, deleted, closed_up, reordered, inserted, cut, cut_and_noted, rewritten)


def test_every_attack_on_the_log_is_found_and_where_it_begins(store: OperationalStore, size: Size, tell: Callable[[str], None]) -> None:
    original = written_log(store)
    kept = [AuditHead(seq, original[seq - 1]["hash"]) for seq in RELEASES]
    draw, missed, counts = random.Random(5), [], Counter[str]()

    for number in range(size(small=100, full=1_000)):
        attack = ATTACKS[number % len(ATTACKS)]
        tampered = attack([dict(row) for row in original], draw)
        replace_log(store, tampered.rows, tampered.noted or kept[-1])

        report = verify(store, known_heads=kept)

        counts[attack.__name__] += 1
        # a forged row that continues the log is told by the row after it
        known = {tampered.first_bad_seq, tampered.first_bad_seq + (attack is inserted)}
        if not report.problems or report.first_bad_seq not in known:
            missed.append((attack.__name__, tampered.first_bad_seq, report.first_bad_seq, report.problems[:3]))

    assert missed == []
    replace_log(store, original, kept[-1])
    report = verify(store, known_heads=kept)
    assert (report.problems, report.first_bad_seq) == ((), None)
    tell(f"{store.dialect}: {counts.total():,} attacks on {ROWS} rows of the audit log, all found and placed: {dict(counts)}")


def counted(rows: Sequence[dict[str, Any]], noted: AuditHead) -> bool:
    """A verifier that only counts."""
    return [row["seq"] for row in rows] == list(range(1, noted.seq + 1))


def hashed_alone(rows: Sequence[dict[str, Any]], noted: AuditHead) -> bool:
    """A verifier that looks at each row's own hash and at no other row."""
    return all(row["hash"] == hash_of(row) for row in rows)


def chained(rows: Sequence[dict[str, Any]], noted: AuditHead) -> bool:
    """A verifier of the chain and its noted end that knows of no release."""
    before = [AuditHead(0, ""), *(AuditHead(row["seq"], row["hash"]) for row in rows)]
    links = all((row["seq"], row["prev_hash"]) == (last.seq + 1, last.hash) for row, last in zip(rows, before, strict=False))
    return links and hashed_alone(rows, noted) and before[-1] == noted


@pytest.mark.parametrize(
    ("verifier", "blind_to"),
    [
        (counted, {edited, edited_with_its_hash, cut_and_noted, rewritten}),
        (hashed_alone, {edited_with_its_hash, deleted, cut, cut_and_noted, rewritten}),
        (chained, {cut_and_noted, rewritten}),
    ],
)
def test_the_same_attacks_pass_a_verifier_that_looks_at_less(
    sqlite_url: str, verifier: Callable[..., bool], blind_to: set[Callable[..., Tampered]]
) -> None:
    with OperationalStore.open(sqlite_url) as store:
        original = written_log(store)
    whole, draw = AuditHead(ROWS, original[-1]["hash"]), random.Random(5)
    passed = set()
    for attack in ATTACKS * 5:
        tampered = attack([dict(row) for row in original], draw)
        if verifier(tampered.rows, tampered.noted or whole):
            passed.add(attack)

    assert verifier(original, whole)
    assert blind_to <= passed


def hash_of(row: dict[str, Any]) -> str:
    return digest([row[name] for name in HASHED])


def written_log(store: OperationalStore) -> Rows:
    """The log, whose guards are off from now on."""
    with store.transaction() as conn:
        for number in range(ROWS):
            append(conn, actor=f"a{number}", rec_id="r", states=("proposed", "approved"), before={"n": number}, after={"n": number + 1})
        if store.dialect == "sqlite":
            for guard in ("audit_log_update", "audit_log_delete"):
                conn.execute(sa.text(f"DROP TRIGGER {guard}"))
        else:
            conn.execute(sa.text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
    return sorted(rows_of(store, "audit_log"), key=lambda row: row["seq"])


def replace_log(store: OperationalStore, rows: Rows, noted: AuditHead) -> None:
    with store.transaction() as conn:
        conn.execute(sa.delete(audit_log))
        if rows:
            conn.execute(sa.insert(audit_log), rows)
        conn.execute(sa.update(audit_head).values(seq=noted.seq, hash=noted.hash))
