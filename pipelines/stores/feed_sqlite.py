"""The change feed on SQLite: one writer at a time, so the number of a change is its order of commit.

Rows are read with Python's own SQLite, not through ADBC: the ADBC driver brings a second copy of SQLite, and when two copies in one
process have the same file open, closing one cancels the other's file locks; a write committed by another process can then be lost.
"""

from __future__ import annotations

import gc
import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import sqlalchemy as sa

from pipelines.stores.connections import BUSY_TIMEOUT_MS, translated_errors
from pipelines.stores.feed_reading import ChangeReader, FeedPosition, no_keys, no_rows
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import key_sql, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pipelines.stores.connections import Dialect

    Query = Callable[[str], list[tuple[Any, ...]]]

_BATCH_ROWS: Final = 10_000


def lacking(conn: sa.Connection, types: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Tables that could carry triggers and have not all of them as they must be."""
    return _lacking(_query(conn), types)


def carriers(conn: sa.Connection) -> set[str]:
    """Names of what can carry triggers, which a view cannot."""
    return set(conn.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())


def watch(conn: sa.Connection, table: str, types: Mapping[str, str]) -> None:
    """Every change of this table is noted from now on."""
    unwatch(conn, table)
    for statement in _triggers(table, types, _unique_columns(_query(conn), table)).values():
        conn.exec_driver_sql(statement)


def unwatch(conn: sa.Connection, table: str) -> None:
    """No trigger of ours stands on the table."""
    standing = conn.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"), {"table": table})
    names: list[str] = [row[0] for row in standing]
    for name in (name for name in names if name.startswith(f"feed_{table}_")):
        conn.execute(sa.text(f"DROP TRIGGER {quoted(name)}"))


def is_watching(conn: sa.Connection) -> bool:
    """Whether triggers are wanted here: the feed was installed and not forbidden since."""
    return bool(conn.execute(sa.text("SELECT is_watching FROM feed_epoch")).scalar())


def set_watching(conn: sa.Connection, *, is_wanted: bool) -> None:
    """Triggers are wanted from now on, or forbidden."""
    conn.execute(sa.text("UPDATE feed_epoch SET is_watching = :wanted"), {"wanted": int(is_wanted)})


def set_epoch(conn: sa.Connection, epoch: str) -> None:
    """The feed begins anew: positions of another epoch are worth nothing."""
    conn.execute(sa.text("UPDATE feed_epoch SET epoch = :epoch"), {"epoch": epoch})


def prune(conn: sa.Connection, *, now: datetime, before: datetime) -> int:
    """Changes before the newest mark that is older than `before` are removed; the mark's own change stays as proof of the position."""
    conn.execute(
        sa.text("INSERT INTO feed_mark SELECT coalesce(max(seq), 0), :now FROM feed_change"),
        {"now": now.isoformat(sep=" ", timespec="seconds")},
    )
    old = {"before": before.isoformat(sep=" ", timespec="seconds")}
    position = conn.execute(sa.text("SELECT max(position) FROM feed_mark WHERE marked_at <= :before"), old).scalar()
    if position is None:
        return 0
    limit = {"position": position}
    conn.execute(sa.text("UPDATE feed_epoch SET pruned_to = :position"), limit)
    conn.execute(sa.text("DELETE FROM feed_mark WHERE position < :position"), limit)
    return conn.execute(sa.text("DELETE FROM feed_change WHERE seq < :position"), limit).rowcount


def waiting(conn: sa.Connection, since: FeedPosition | None) -> tuple[str, int, int]:
    """The feed's epoch, its newest number, and how many changes a reader at this position has not seen."""
    epoch = str(conn.execute(sa.text("SELECT epoch FROM feed_epoch")).scalar_one())
    found = conn.execute(sa.text("SELECT coalesce(max(seq), 0), count(*) FROM feed_change WHERE seq > :seq"), {"seq": _seq(since)}).one()
    return epoch, int(found[0]), int(found[1])


@contextmanager
def open_reader(
    url: sa.URL,
    types: Mapping[str, Mapping[str, str]],
    since: FeedPosition | None,
    retry_keys: Mapping[str, Sequence[str]],
    fingerprint: str,
) -> Iterator[ChangeReader]:
    """A reader on a connection and a read transaction of its own."""
    with translated_errors(url):
        # Whoever consumes the stream may do so in another thread, one at a time.
        conn = sqlite3.connect(str(url.database), isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        with translated_errors(url):
            conn.execute("PRAGMA query_only = ON").close()
            conn.execute("BEGIN").close()
            reader = _begin(conn, types, since, retry_keys, fingerprint)
        yield reader
    finally:
        conn.close()


def _begin(
    conn: sqlite3.Connection, types: Mapping[str, Mapping[str, str]], since: FeedPosition | None,
    retry_keys: Mapping[str, Sequence[str]], fingerprint: str,
) -> ChangeReader:  # fmt: skip
    newest, token = conn.execute("SELECT seq, token FROM feed_change ORDER BY seq DESC LIMIT 1").fetchone() or (0, 0)
    stored_epoch, pruned_to = conn.execute("SELECT epoch, pruned_to FROM feed_epoch").fetchone()
    position = FeedPosition(f"{stored_epoch}:{fingerprint}", f"{newest}:{token}")
    views = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    untracked = frozenset(_lacking(lambda statement: conn.execute(statement).fetchall(), types)) | views & set(types)
    oldest = _seq(since)
    is_full = since is None or since.epoch != position.epoch or oldest < pruned_to or not _stands(conn, since)
    conn.text_factory = bytes  # decoded once per column by Arrow, not once per value
    return SqliteChangeReader(conn, (oldest, newest), types, retry_keys, position=position, is_full_resync=is_full, untracked=untracked)


def _seq(since: FeedPosition | None) -> int:
    return int(since.position.partition(":")[0]) if since and since.position.partition(":")[0].isdigit() else 0


def _stands(conn: sqlite3.Connection, since: FeedPosition) -> bool:
    """Whether the change at the old position is still the one that was read: a restored file has others, or none."""
    found = conn.execute("SELECT seq, token FROM feed_change WHERE seq = ?", (_seq(since),)).fetchone() or (0, 0)
    return since.position == f"{found[0]}:{found[1]}"


class SqliteChangeReader(ChangeReader):
    """Reads `seq > old AND seq <= newest` inside one read transaction."""

    dialect: Dialect = "sqlite"

    def __init__(
        self, conn: sqlite3.Connection, interval: tuple[int, int], types: Mapping[str, Mapping[str, str]],
        retry_keys: Mapping[str, Sequence[str]], *, position: FeedPosition, is_full_resync: bool, untracked: frozenset[str],
    ) -> None:  # fmt: skip
        super().__init__(types, retry_keys, position=position, is_full_resync=is_full_resync, untracked=untracked)
        self._conn = conn
        self._interval = interval

    def changed_keys(self, table: str) -> pa.Table:
        """See `ChangeReader.changed_keys`."""
        if table not in self._types or self.is_full_resync:
            return no_keys()
        return self._keys(f"{_CHANGED} SELECT pk FROM changed", self._parameters(table))

    def keys(self, table: str, *, updated_since: datetime | None = None) -> pa.Table:
        """See `ChangeReader.keys`."""
        key = key_sql(SOURCE_TABLES[table], "t", "sqlite", self._types[table])
        if updated_since is None:
            return self._keys(f"SELECT {key} FROM {quoted(table)} AS t", ())
        recent = "t.updated_at >= ? OR t.updated_at IS NULL"
        return self._keys(f"SELECT {key} FROM {quoted(table)} AS t WHERE {recent}", (updated_since.isoformat(sep=" "),))

    def count(self, table: str) -> int:
        """See `ChangeReader.count`."""
        number: int = self._conn.execute(f"SELECT count(*) FROM {quoted(table)} AS t WHERE {self._is_standing(table)}").fetchone()[0]
        return number

    def everything(self, table: str) -> pa.RecordBatchReader:
        """See `ChangeReader.everything`."""
        cursor = self._conn.execute(f"SELECT {self._select(table)} FROM {quoted(table)} AS t")
        schema = self._schema(table)
        return pa.RecordBatchReader.from_batches(schema, _batches(cursor, schema))

    def rows(self, table: str) -> pa.RecordBatchReader:
        """See `ChangeReader.rows`."""
        if table not in self._types:
            return no_rows()
        if self.is_full_resync:
            return self.everything(table)
        matches = " AND ".join(
            f"t.{quoted(name)} = json_extract(k.pk, '$[{place}]')" for place, name in enumerate(SOURCE_TABLES[table].key)
        )
        # CROSS JOIN keeps the order: few keys first, then the table by its primary key.
        statement = f"{_CHANGED} SELECT {self._select(table)} FROM changed AS k CROSS JOIN {quoted(table)} AS t ON {matches}"
        parameters = self._parameters(table)
        if self._conn.execute(f"{_CHANGED} SELECT EXISTS (SELECT 1 FROM changed AS k WHERE {_HAS_NUL})", parameters).fetchone()[0]:
            # json_extract ends at a NUL byte; such a key is looked for as its text, through the whole table.
            key = key_sql(SOURCE_TABLES[table], "t", "sqlite", self._types[table])
            statement += (
                f" AND NOT {_HAS_NUL} UNION ALL "
                f"SELECT {self._select(table)} FROM changed AS k JOIN {quoted(table)} AS t ON {_HAS_NUL} AND k.pk = {key}"
            )
        cursor = self._conn.execute(statement, parameters)
        schema = self._schema(table)
        return pa.RecordBatchReader.from_batches(schema, _batches(cursor, schema))

    def _keys(self, statement: str, parameters: tuple[object, ...]) -> pa.Table:
        return pa.table({"key": _texts([key for (key,) in self._conn.execute(statement, parameters)])})

    def _parameters(self, table: str) -> tuple[object, ...]:
        return (*self._interval, table, json.dumps(list(self._retry_keys.get(table, ()))))


_CHANGED: Final = (
    "WITH changed AS MATERIALIZED (SELECT pk FROM feed_change WHERE seq > ? AND seq <= ? AND tbl = ? UNION SELECT value FROM json_each(?))"
)

_HAS_NUL: Final = r"(instr(k.pk, '\u0000') > 0)"  # as JSON writes it


def _batches(cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while (batch := _batch(cursor, schema)).num_rows:
        yield batch


def _batch(cursor: sqlite3.Cursor, schema: pa.Schema) -> pa.RecordBatch:
    """The next rows; none at the end. Tuples without cycles are no work for the collector, which would take 40 % of the time."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        rows = cursor.fetchmany(_BATCH_ROWS)
        return pa.record_batch([_texts(column) for column in zip(*rows, strict=True)] or [_texts(())] * len(schema), schema=schema)
    finally:
        if was_collecting:
            gc.enable()


def _texts(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: SQLite does not check what it is given
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in values], pa.string())


def _query(conn: sa.Connection) -> Query:
    return lambda statement: [tuple(row) for row in conn.exec_driver_sql(statement)]


def _lacking(query: Query, types: Mapping[str, Mapping[str, str]]) -> list[str]:
    standing = set(query("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"))
    tables = {name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in types if table in tables and not _wanted(query, table, types[table]) <= standing]


def _wanted(query: Query, table: str, types: Mapping[str, str]) -> set[tuple[str, str, str]]:
    return {(name, table, statement) for name, statement in _triggers(table, types, _unique_columns(query, table)).items()}


def _unique_columns(query: Query, table: str) -> list[tuple[str, ...]]:
    """Columns that cannot hold the same values twice, other than the contract's key: by these, REPLACE deletes a row of another key."""
    sets = [tuple(name for (name,) in query(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"))]
    for (index,) in query(f"SELECT name FROM pragma_index_list('{table}') WHERE \"unique\" ORDER BY name"):
        sets.append(tuple(name for (name,) in query(f"SELECT name FROM pragma_index_info('{index.replace(chr(39), chr(39) * 2)}')")))
    key = set(SOURCE_TABLES[table].key)
    return sorted({columns for columns in sets if columns and None not in columns and not key.issubset(columns)})


def _triggers(table: str, types: Mapping[str, str], unique_columns: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The table's triggers by name. REPLACE fires no delete trigger, so rows that it will displace are noted before it does."""
    contract = SOURCE_TABLES[table]
    new, old, displaced = (key_sql(contract, row, "sqlite", types) for row in ("NEW", "OLD", "o"))
    note = f"INSERT INTO feed_change (tbl, pk, op) SELECT '{table}', "
    bodies = {
        "insert": ("AFTER INSERT", f"{note}{new}, 'I';"),
        "update": ("AFTER UPDATE", f"{note}{old}, 'D' WHERE {old} IS NOT {new}; {note}{new}, 'U';"),
        "delete": ("AFTER DELETE", f"{note}{old}, 'D';"),
    }
    if unique_columns:
        same = " OR ".join(f"({' AND '.join(f'o.{quoted(name)} = NEW.{quoted(name)}' for name in names)})" for names in unique_columns)
        note += f"{displaced}, 'D' FROM {quoted(table)} AS o WHERE ({same})"
        bodies["displace_insert"] = ("BEFORE INSERT", f"{note};")
        bodies["displace_update"] = ("BEFORE UPDATE", f"{note} AND {displaced} IS NOT {old};")
    return {
        f"feed_{table}_{event}": f'CREATE TRIGGER "feed_{table}_{event}" {moment} ON {quoted(table)} BEGIN {body} END'
        for event, (moment, body) in bodies.items()
    }
