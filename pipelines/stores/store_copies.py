"""The operational store in files and back: all of a SQLite store, and of a PostgreSQL one the tables that are ours.

What is the merchant's in PostgreSQL is theirs to back up, with their own tools; here it is neither read nor written.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from psycopg import sql

from pipelines.errors import BackupError, StoreUnavailableError
from pipelines.stores.backups import STORE_FOLDER, BackupFile, described
from pipelines.stores.connections import translated_errors
from pipelines.stores.durable import sync
from pipelines.stores.own_tables import audit_head, metadata
from pipelines.stores.source_rows import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipelines.stores.backups import Backup
    from pipelines.stores.operational import OperationalStore

SQLITE_COPY: Final = f"{STORE_FOLDER}/store.db"
_WAIT_SECONDS: Final = 10.0


def copy_store(store: OperationalStore, folder: Path) -> tuple[tuple[BackupFile, ...], tuple[int, str]]:
    """The store as it stood at one moment lies below `folder`; others may go on writing meanwhile.

    Our own tables must be at their newest version.

    Returns:
        The files, and number and hash of the last row of the audit log in them.

    Raises:
        StoreUnavailableError: The store did not answer, or its file is damaged.
    """
    (folder / STORE_FOLDER).mkdir()
    return _copy_sqlite(store, folder) if store.dialect == "sqlite" else _copy_postgresql(store, folder)


def load_tables(store: OperationalStore, folder: Path, backup: Backup) -> None:
    """Our tables in PostgreSQL hold what the backup holds of them. The caller holds the transaction and has the tables at its version.

    Raises:
        BackupError: A table took fewer or more rows than the backup says.
    """
    files = {file.path.removeprefix(f"{STORE_FOLDER}/").removesuffix(".copy"): file for file in backup.files if file.columns}
    if strange := [name for name in files if name not in metadata.tables]:
        raise BackupError(f"The backup names a table that is not ours: {strange[0]}. Nothing was changed.")
    with store.transaction(is_bulk=True) as conn:
        for name in files:  # the append-only guards among them: this is the one act that replaces what they keep
            conn.exec_driver_sql(f"ALTER TABLE {quoted(name)} DISABLE TRIGGER USER")
        conn.exec_driver_sql(f"TRUNCATE {', '.join(map(quoted, files))}")
        for name, file in files.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), _columns(file.columns))
            with _cursor(conn) as cursor, (folder / file.path).open("rb") as source:
                with cursor.copy(statement) as copy:
                    while block := source.read(1024**2):
                        copy.write(block)
                if cursor.rowcount != file.rows[name]:
                    raise BackupError(f"{name} took {cursor.rowcount:,} rows, the backup holds {file.rows[name]:,}. Nothing was changed.")
        for name in files:
            conn.exec_driver_sql(f"ALTER TABLE {quoted(name)} ENABLE TRIGGER USER")


def overwrite_sqlite(staged: Path, target: Path) -> None:
    """The SQLite store at `target` holds what `staged` holds, in one transaction of its own: who has it open sees old or new.

    Raises:
        StoreUnavailableError: Somebody else kept it locked. It stands as it was.
        sqlite3.DatabaseError: What lies there is no database.
    """
    deadline = time.monotonic() + _WAIT_SECONDS

    def give_up(status: int, _remaining: int, _total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} and time.monotonic() > deadline:
            raise StoreUnavailableError(f"Operational store {target} is locked by another program; stop it and try again.")

    with closing(sqlite3.connect(staged)) as source, closing(sqlite3.connect(target)) as live:
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(live, progress=give_up)  # which would wait for ever


def settle_sqlite(path: Path) -> None:
    """The store is one file, without what SQLite keeps beside one that is in use, and on the disk."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()
    sync(path)


def _copy_sqlite(store: OperationalStore, folder: Path) -> tuple[tuple[BackupFile, ...], tuple[int, str]]:
    path = folder / SQLITE_COPY
    with (
        translated_errors(store.engine.url),
        closing(sqlite3.connect(str(store.engine.url.database))) as source,
        closing(sqlite3.connect(path)) as copy,
    ):
        path.chmod(0o600)
        source.backup(copy)  # all pages in one step: a writer does not make it begin again
        verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise BackupError(f"The store {store.address} is damaged ({verdict}): a backup of it would be worth nothing.")
        names = [name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        rows = {name: copy.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in names}
        head = copy.execute("SELECT seq, hash FROM audit_head").fetchone()
    settle_sqlite(path)
    return (described(folder, path, rows=rows),), (head[0], head[1])


def _copy_postgresql(store: OperationalStore, folder: Path) -> tuple[tuple[BackupFile, ...], tuple[int, str]]:
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with translated_errors(store.engine.url), store.engine.connect() as unstarted:
        conn = unstarted.execution_options(**options)
        with conn.begin():
            files = tuple(_copy_table(conn, folder, table) for table in metadata.tables.values())
            head = conn.execute(sa.select(audit_head.c.seq, audit_head.c.hash)).one()
    return files, (head.seq, head.hash)


def _copy_table(conn: sa.Connection, folder: Path, table: sa.Table) -> BackupFile:
    path = folder / STORE_FOLDER / f"{table.name}.copy"
    columns = [column.name for column in table.columns]
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table.name), _columns(columns))
    with path.open("wb") as target, _cursor(conn) as cursor:
        path.chmod(0o600)
        with cursor.copy(statement) as copy:
            for block in copy:
                target.write(block)
        rows = cursor.rowcount
    sync(path)
    return described(folder, path, rows={table.name: rows}, columns=columns)


def _columns(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _cursor(conn: sa.Connection) -> Any:
    """The driver's own cursor in the connection's transaction: SQLAlchemy has no COPY."""
    driver: Any = conn.connection.driver_connection
    return driver.cursor()
