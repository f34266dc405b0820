"""Source tables in a database: how they are created, and how rows of the contract get into them."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from pipelines.errors import SourceContractError
from pipelines.stores.source_contract import POSTGRESQL_TYPES, SOURCE_TABLES, SQLITE_TYPES, SourceTable
from pipelines.stores.source_rows import copy_text, quoted, sqlite_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import polars as pl

_BATCH_ROWS = 50_000


def column_type(conn: sa.Connection, table: SourceTable, column: str) -> str:
    """The column's type in the connection's database."""
    return (SQLITE_TYPES if _is_sqlite(conn) else POSTGRESQL_TYPES)[table.field(column).kind]


def contract_columns(table: str, columns: Collection[str]) -> frozenset[str]:
    """These columns and `updated_at`.

    Raises:
        SourceContractError: A name is not in the contract or a required column is missing.
    """
    contract = SOURCE_TABLES.get(table)
    if contract is None:
        raise SourceContractError(f"The contract has no table {table!r}; leave it out.")
    wanted = frozenset(columns) | {"updated_at"}
    if unknown := sorted(wanted.difference(contract.field_names)):
        raise SourceContractError(f"The contract's table {table} has no column {unknown[0]!r}; leave it out.")
    if missing := [name for name in contract.field_names if name in {*contract.required_fields, *contract.key} and name not in wanted]:
        raise SourceContractError(f"Table {table} lacks the required column {', '.join(missing)}; no table was created.")
    return wanted


def create_statement(conn: sa.Connection, table: SourceTable, columns: list[str]) -> str:
    """SQL that creates the table with these of its columns."""
    lines = [
        f"{quoted(name)} {column_type(conn, table, name)}" + (" NOT NULL" if table.field(name).is_required or name in table.key else "")
        for name in columns
    ]
    lines.append(f"PRIMARY KEY ({', '.join(map(quoted, table.key))})")
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(lines)})" + (" STRICT" if _is_sqlite(conn) else "")


def load_rows(conn: sa.Connection, target: str, contract: SourceTable, rows: pl.DataFrame) -> None:
    """The rows, as `checked_frame` gives them, are added to `target`, a table with the contract table's columns."""
    columns = ", ".join(map(quoted, rows.columns))
    if _is_sqlite(conn):
        statement = f"INSERT INTO {target} ({columns}) VALUES ({', '.join('?' * rows.width)})"
        with closing(conn.connection.cursor()) as writer:
            for batch in rows.iter_slices(_BATCH_ROWS):
                writer.executemany(statement, sqlite_frame(contract, batch).rows())
        return
    driver = cast("psycopg.Connection[object]", conn.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(f"COPY {target} ({columns}) FROM STDIN (FORMAT csv, NULL '\\N')") as copy:
        for batch in rows.iter_slices(_BATCH_ROWS):
            copy.write(copy_text(batch))


def merge_rows(conn: sa.Connection, table: SourceTable, rows: pl.DataFrame) -> int:
    """The source table has the rows, which stand in the temporary table `upserted` too; returns how many moved."""
    others = [name for name in rows.columns if name not in table.key]
    target = quoted(table.name)
    if not (missing := [name for name in table.required_fields if name not in rows.columns]):
        names = ", ".join(map(quoted, rows.columns))
        changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in others)
        differs = _differs(conn, target, "excluded", others)
        action = f"DO UPDATE SET {changes} WHERE {differs}" if others else "DO NOTHING"
        keys = ", ".join(map(quoted, table.key))
        # `WHERE true` tells SQLite's parser that ON CONFLICT is no join condition.
        statement = f"INSERT INTO {target} ({names}) SELECT {names} FROM upserted WHERE true ON CONFLICT ({keys}) {action}"
        return conn.execute(sa.text(statement)).rowcount
    matches = " AND ".join(f"{target}.{quoted(name)} = upserted.{quoted(name)}" for name in table.key)
    changes = ", ".join(f"{quoted(name)} = upserted.{quoted(name)}" for name in others or table.key)
    updated = conn.execute(sa.text(f"UPDATE {target} SET {changes} FROM upserted WHERE {matches}")).rowcount
    if updated < rows.height:
        raise SourceContractError(
            f"{rows.height - updated} of {rows.height} rows for {table.name} are new but lack {', '.join(missing)}; nothing was written."
        )
    return updated


@contextmanager
def refusals(table: str) -> Iterator[None]:
    """What the database refuses inside the block breaks the contract; its first line says which key or column."""
    try:
        yield
    except (IntegrityError, DataError, sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.DataError) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        said = str(cause).partition("\n")[0]
        raise SourceContractError(f"Rows for {table} cannot be stored: {said}; correct them. Nothing was written.") from exc


def _differs(conn: sa.Connection, left: str, right: str, columns: list[str]) -> str:
    distinct = "IS NOT" if _is_sqlite(conn) else "IS DISTINCT FROM"
    return " OR ".join(f"{left}.{quoted(name)} {distinct} {right}.{quoted(name)}" for name in columns)


def _is_sqlite(conn: sa.Connection) -> bool:
    return conn.dialect.name == "sqlite"
