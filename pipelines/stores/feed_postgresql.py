"""The change feed on PostgreSQL: triggers note the top-level transaction, readers take the difference of two snapshots.

A transaction that was open at the last read and has committed since is in the difference, however long it was open. The row's own
`xmin` would not do: it can be the id of a subtransaction, which a snapshot does not list.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from psycopg.conninfo import make_conninfo

from pipelines.stores.connections import postgresql_options, translated_errors
from pipelines.stores.feed_reading import ChangeReader, FeedPosition, no_keys, no_rows
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import key_sql, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa
    from adbc_driver_manager.dbapi import Cursor

    from pipelines.stores.connections import Dialect

_ROW_TRIGGER: Final = "ordercast_feed"
_TRUNCATE_TRIGGER: Final = "ordercast_feed_truncate"
# Enabled ALWAYS, so that they fire for what replication applies too; on a partitioned table, for each of its partitions.
_TRACKED: Final = (
    "SELECT t.relname, f.prosrc FROM pg_trigger AS g JOIN pg_class AS t ON t.oid = g.tgrelid JOIN pg_proc AS f ON f.oid = g.tgfoid "
    f"WHERE g.tgname IN ('{_ROW_TRIGGER}', '{_TRUNCATE_TRIGGER}') AND g.tgenabled = 'A' AND pg_table_is_visible(t.oid) "
    "AND NOT EXISTS (SELECT FROM pg_trigger AS p WHERE p.tgparentid = g.oid AND p.tgenabled <> 'A')"
)


def lacking(conn: sa.Connection, types: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Tables that could carry triggers and have not all of them as they must be."""
    untracked = _untracked([(row[0], row[1]) for row in conn.execute(sa.text(_TRACKED))], types)
    return sorted(untracked & carriers(conn))


def carriers(conn: sa.Connection) -> set[str]:
    """Names of what can carry triggers, which a view cannot."""
    return set(conn.execute(sa.text("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)")).scalars())


def watch(conn: sa.Connection, table: str, types: Mapping[str, str]) -> None:
    """Every change of this table is noted from now on."""
    function, body = f"feed.{quoted(f'{table}_changed')}", _function_body(table, types)
    # The name of a schema in the caller's search path must never decide what a SECURITY DEFINER function calls.
    conn.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $body${body}$body$"
    )
    conn.exec_driver_sql(f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC")
    unwatch(conn, table)
    for name, event in ((_ROW_TRIGGER, "INSERT OR UPDATE OR DELETE"), (_TRUNCATE_TRIGGER, "TRUNCATE")):
        level = "STATEMENT" if event == "TRUNCATE" else "ROW"
        conn.exec_driver_sql(f"CREATE TRIGGER {name} AFTER {event} ON {quoted(table)} FOR EACH {level} EXECUTE FUNCTION {function}()")
        conn.exec_driver_sql(f"ALTER TABLE {quoted(table)} ENABLE ALWAYS TRIGGER {name}")


def unwatch(conn: sa.Connection, table: str) -> None:
    """No trigger of ours stands on the table."""
    standing = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(:name) AND tgname IN (:row, :truncate)"
    names = {"name": quoted(table), "row": _ROW_TRIGGER, "truncate": _TRUNCATE_TRIGGER}
    found: list[str] = [row[0] for row in conn.execute(sa.text(standing), names)]
    for name in found:
        conn.exec_driver_sql(f"DROP TRIGGER {name} ON {quoted(table)}")


def is_watching(conn: sa.Connection) -> bool:
    """Whether triggers are wanted here: the feed was installed and not forbidden since."""
    return bool(conn.execute(sa.text("SELECT is_watching FROM feed.epoch")).scalar())


def set_watching(conn: sa.Connection, *, is_wanted: bool) -> None:
    """Triggers are wanted from now on, or forbidden."""
    conn.execute(sa.text("UPDATE feed.epoch SET is_watching = :wanted"), {"wanted": is_wanted})


def _untracked(found: Sequence[tuple[str, str]], types: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    return frozenset(table for table in types if found.count((table, _function_body(table, types[table]))) < 2)


def set_epoch(conn: sa.Connection, epoch: str) -> None:
    """The feed begins anew: positions of another epoch are worth nothing."""
    conn.execute(sa.text("UPDATE feed.epoch SET epoch = :epoch"), {"epoch": epoch})


def prune(conn: sa.Connection, *, now: datetime, before: datetime) -> int:
    """Changes of transactions that had ended by the newest mark older than `before` are removed."""
    removed: int = conn.execute(sa.text("SELECT feed.prune(:now, :before)"), {"now": now, "before": before}).scalar_one()
    return removed


def waiting(conn: sa.Connection, since: FeedPosition | None) -> tuple[str, int, int]:
    """The feed's epoch, the newest transaction that a reader at this position has not seen, and how many changes it has not."""
    epoch = str(conn.execute(sa.text("SELECT epoch FROM feed.epoch")).scalar_one())
    if since is None or not since.position.replace(":", "").replace(",", "").isdigit():
        return epoch, 0, 0
    interval = _INTERVAL.replace("$1", "CAST(:since AS text)")
    found = conn.execute(
        sa.text(f"SELECT coalesce(max(CAST(CAST(xid AS text) AS bigint)), 0), count(*) FROM feed.change WHERE {interval}"),
        {"since": since.position},
    ).one()
    return epoch, int(found[0]), int(found[1])


@contextmanager
def open_reader(
    url: sa.URL,
    types: Mapping[str, Mapping[str, str]],
    since: FeedPosition | None,
    retry_keys: Mapping[str, Sequence[str]],
    fingerprint: str,
) -> Iterator[ChangeReader]:
    """A reader on a connection of its own, in one REPEATABLE READ transaction."""
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - brings pyarrow and pandas along, which every command would wait for

    parameters = {**url.translate_connect_args(username="user", database="dbname"), **url.query, "options": postgresql_options(url)}
    with translated_errors(url):
        conn = dbapi.connect(make_conninfo("", **parameters), autocommit=True)
    with closing(conn), closing(conn.cursor()) as cursor:
        with translated_errors(url):
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            reader = _begin(cursor, types, since, retry_keys, fingerprint)
        yield reader
        cursor.execute("COMMIT")


def _begin(
    cursor: Cursor, types: Mapping[str, Mapping[str, str]], since: FeedPosition | None,
    retry_keys: Mapping[str, Sequence[str]], fingerprint: str,
) -> ChangeReader:  # fmt: skip
    snapshot, epoch = _first(cursor, "SELECT pg_current_snapshot()::text, epoch FROM feed.epoch")
    position = FeedPosition(f"{epoch}:{_identity(cursor)}:{fingerprint}", snapshot)
    cursor.execute(_TRACKED)
    untracked = _untracked([(table, body) for table, body in cursor.fetchall()], types)
    is_full = since is None or since.epoch != position.epoch or _is_broken(cursor, since)
    return PostgresqlChangeReader(
        cursor, snapshot if since is None or is_full else since.position, types, retry_keys,
        position=position, is_full_resync=is_full, untracked=untracked,
    )  # fmt: skip


def _identity(cursor: Cursor) -> str:
    """What differs once a database was restored from a dump, from a backup, or a standby took over, though the rows look the same."""
    identity = [*_first(cursor, "SELECT oid::text, 'feed.change'::regclass::oid::text FROM pg_database WHERE datname = current_database()")]
    allowed = (
        "SELECT has_function_privilege('pg_control_system()', 'execute') AND has_function_privilege('pg_control_checkpoint()', 'execute')"
    )
    if _first(cursor, allowed)[0]:
        identity += _first(cursor, "SELECT system_identifier::text, timeline_id::text FROM pg_control_system(), pg_control_checkpoint()")
    return "-".join(identity)


def _is_broken(cursor: Cursor, since: FeedPosition) -> bool:
    """Whether the way from the old position to now has a gap: time ran backwards, it was pruned, or a table was truncated."""
    statement = f"""
        SELECT pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::text::pg_snapshot)
            OR pg_snapshot_xmin($1::text::pg_snapshot) < (SELECT pruned_to FROM feed.epoch)
            OR EXISTS (SELECT FROM feed.change WHERE {_INTERVAL} AND op = 'T')"""
    return bool(_first(cursor, statement, (since.position,))[0])


def _first(cursor: Cursor, statement: str, parameters: tuple[object, ...] | None = None) -> tuple[Any, ...]:
    cursor.execute(statement, parameters)
    row: tuple[Any, ...] = cursor.fetchall()[0]
    return row


class PostgresqlChangeReader(ChangeReader):
    """Reads what the old snapshot does not see and the transaction's own snapshot does."""

    dialect: Dialect = "postgresql"

    def __init__(
        self, cursor: Cursor, old_snapshot: str, types: Mapping[str, Mapping[str, str]], retry_keys: Mapping[str, Sequence[str]],
        *, position: FeedPosition, is_full_resync: bool, untracked: frozenset[str],
    ) -> None:  # fmt: skip
        super().__init__(types, retry_keys, position=position, is_full_resync=is_full_resync, untracked=untracked)
        self._cursor = cursor
        self._old_snapshot = old_snapshot

    def changed_keys(self, table: str) -> pa.Table:
        """See `ChangeReader.changed_keys`."""
        if table not in self._types or self.is_full_resync:
            return no_keys()
        self._cursor.execute(f'{_CHANGED} SELECT pk AS "key" FROM changed', self._parameters(table))
        return self._cursor.fetch_arrow_table()

    def keys(self, table: str, *, updated_since: datetime | None = None) -> pa.Table:
        """See `ChangeReader.keys`."""
        types = self._types[table]
        select = f'SELECT {key_sql(SOURCE_TABLES[table], "t", "postgresql", types)} AS "key" FROM {quoted(table)} AS t'
        if updated_since is None:
            self._cursor.execute(select)
        else:
            recent = f"t.updated_at >= CAST($1::text AS {types['updated_at']}) OR t.updated_at IS NULL"
            self._cursor.execute(f"{select} WHERE {recent}", (updated_since.isoformat(sep=" "),))
        return self._cursor.fetch_arrow_table()

    def count(self, table: str) -> int:
        """See `ChangeReader.count`."""
        return int(_first(self._cursor, f"SELECT count(*) FROM {quoted(table)} AS t WHERE {self._is_standing(table)}")[0])

    def everything(self, table: str) -> pa.RecordBatchReader:
        """See `ChangeReader.everything`."""
        self._cursor.execute(f"SELECT {self._select(table)} FROM {quoted(table)} AS t")
        return self._cursor.fetch_record_batch()

    def rows(self, table: str) -> pa.RecordBatchReader:
        """See `ChangeReader.rows`."""
        if table not in self._types:
            return no_rows()
        if self.is_full_resync:
            return self.everything(table)
        types = self._types[table]
        matches = " AND ".join(
            f"t.{quoted(name)} = CAST(CAST(k.pk AS json) ->> {place} AS {types[name]})"
            for place, name in enumerate(SOURCE_TABLES[table].key)
        )
        statement = f"{_CHANGED} SELECT {self._select(table)} FROM changed AS k JOIN {quoted(table)} AS t ON {matches}"
        self._cursor.execute(statement, self._parameters(table))
        return self._cursor.fetch_record_batch()

    def _parameters(self, table: str) -> tuple[str, str, str]:
        return self._old_snapshot, table, json.dumps(list(self._retry_keys.get(table, ())))


_INTERVAL: Final = "xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)"
_CHANGED: Final = (
    f"WITH changed AS MATERIALIZED (SELECT pk FROM feed.change WHERE {_INTERVAL} AND tbl = $2 AND op <> 'T' "
    "UNION SELECT json_array_elements_text($3::text::json))"
)


def _function_body(table: str, types: Mapping[str, str]) -> str:
    contract = SOURCE_TABLES[table]
    new, old = (key_sql(contract, row, "postgresql", types) for row in ("NEW", "OLD"))
    return f"""
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO feed.change (tbl, pk, op) VALUES ('{table}', '', 'T');
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO feed.change (tbl, pk, op) VALUES ('{table}', {new}, 'I');
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO feed.change (tbl, pk, op) VALUES ('{table}', {old}, 'D');
  ELSE
    IF {old} <> {new} THEN
      INSERT INTO feed.change (tbl, pk, op) VALUES ('{table}', {old}, 'D');
    END IF;
    INSERT INTO feed.change (tbl, pk, op) VALUES ('{table}', {new}, 'U');
  END IF;
  RETURN NULL;
END"""
