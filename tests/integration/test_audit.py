from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pipelines.decisions.audit import AuditHead, append, digest, head, verify
from pipelines.stores.operational import MIGRATIONS, VERSION_TABLE, OperationalStore
from tests.integration.decision_shop import rows_of, whole_store

HASHED = ("seq", "at", "actor", "decision_id", "rec_id", "from_state", "to_state", "before", "after", "prev_hash")


def write_log(store: OperationalStore, rows: int = 20) -> None:
    with store.transaction() as conn:
        for number in range(rows):
            append(conn, actor=f"a{number}", rec_id="r", states=("proposed", "approved"), before={"n": number}, after={"n": number + 1})


def tamper(store: OperationalStore, *statements: str) -> None:
    """What somebody with the owner's rights can do: the guards are taken off first."""
    off = (
        ["DROP TRIGGER audit_log_update", "DROP TRIGGER audit_log_delete"]
        if store.dialect == "sqlite"
        else ["ALTER TABLE audit_log DISABLE TRIGGER USER"]
    )
    with store.transaction() as conn:
        for statement in (*off, *statements):
            conn.execute(sa.text(statement))


def test_a_log_that_nobody_touched_is_valid_and_its_end_is_known(store: OperationalStore) -> None:
    write_log(store)

    report = verify(store, known_heads=[head(store)])

    assert (report.rows_count, report.head, report.problems) == (20, head(store), ())
    assert report.head.seq == 20


def test_an_empty_log_is_valid(store: OperationalStore) -> None:
    assert verify(store, known_heads=[AuditHead(0, "")]).problems == ()


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["audit_log", "decision"])
def test_the_database_itself_refuses_to_change_what_was_logged(store: OperationalStore, table: str, statement: str) -> None:
    write_log(store, 2)
    with store.transaction() as conn:
        conn.execute(
            sa.text(
                "INSERT INTO decision (decision_id, request_hash, actor, rec_id, rec_version, action, result, decided_at) "
                "VALUES ('d', 'h', 'a', 'r', 1, 'approve', '{}', '2026-07-01')"
            )
        )
    before = whole_store(store)

    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.transaction() as conn:
        conn.execute(sa.text(statement.format(table)))

    assert whole_store(store) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'mallory' WHERE seq = 7",
        "UPDATE audit_log SET after = '{}' WHERE seq = 7",
        "UPDATE audit_log SET at = '2026-01-01T00:00:00+00:00' WHERE seq = 7",
        "DELETE FROM audit_log WHERE seq = 7",
        "DELETE FROM audit_log WHERE seq = 1",
        "DELETE FROM audit_log WHERE seq = 20",
        "DELETE FROM audit_log",
        "DELETE FROM audit_head",
    ],
)
def test_an_edited_or_removed_row_is_found(store: OperationalStore, statement: str) -> None:
    write_log(store)

    tamper(store, statement)

    assert verify(store).problems


def test_rows_that_changed_places_are_found(store: OperationalStore) -> None:
    write_log(store)

    tamper(
        store, "UPDATE audit_log SET seq = -1 WHERE seq = 7", "UPDATE audit_log SET seq = 7 WHERE seq = 8", "UPDATE audit_log SET seq = 8 WHERE seq = -1"
    )  # fmt: skip

    assert verify(store).problems


def test_a_log_rewritten_with_all_its_hashes_is_found_by_the_head_a_release_kept(store: OperationalStore) -> None:
    write_log(store)
    kept = head(store)
    tamper(store)
    rows = sorted(rows_of(store, "audit_log"), key=lambda row: row["seq"])
    previous = ""
    with store.transaction() as conn:
        for row in rows:
            changed: dict[str, Any] = row | {"prev_hash": previous, "actor": "mallory" if row["seq"] == 7 else row["actor"]}
            previous = digest([changed[name] for name in HASHED])
            conn.execute(
                sa.text("UPDATE audit_log SET actor = :actor, prev_hash = :before, hash = :hash WHERE seq = :seq"),
                {"actor": changed["actor"], "before": changed["prev_hash"], "hash": previous, "seq": row["seq"]},
            )
        conn.execute(sa.text("UPDATE audit_head SET hash = :hash"), {"hash": previous})

    without, with_release = verify(store), verify(store, known_heads=[kept])

    assert without.problems == ()
    assert with_release.problems == ("Row 20 is not the one that a release kept: the log was rewritten before it or there.",)


def test_a_store_restored_from_before_the_last_release_is_found(store: OperationalStore) -> None:
    write_log(store, 3)

    report = verify(store, known_heads=[AuditHead(5, "abc")])

    assert report.problems == ("A release kept row 5, but the log ends at row 3.",)


def test_the_migration_goes_back_and_forth(store: OperationalStore) -> None:
    def tables() -> set[str]:
        return set(sa.inspect(store.engine).get_table_names())

    before = tables()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE
    with store.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0003")
    without = tables()
    columns = {column["name"] for column in sa.inspect(store.engine).get_columns("recommendation")}
    store.migrate()

    assert before - without >= {
        "operator", "decision", "audit_log", "audit_head", "stock_version", "draft_order", "draft_order_line", "exception", "access_log", "outbox",
    }  # fmt: skip
    assert "snoozed_until" not in columns
    assert tables() == before
    write_log(store, 2)
    assert verify(store).problems == ()
