"""A release as a warehouse that may be written to without changing it: for what an "if" comes to, and for what was planned once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import ReleaseError
from pipelines.stores.release_contents import PUBLISHED_SCHEMAS
from pipelines.stores.releases import open_release
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipelines.stores.releases import Release


@contextmanager
def open_scratch(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads every table as the release has it and keeps in memory what is written, until the block is left.

    Raises:
        ReleaseError: The release is damaged or gone.
    """
    with _attached(release) as conn:
        # a name is looked up in memory first, then in the release; what is created stands in memory
        path = [f"{catalog}.{schema}" for catalog in ("memory", "release") for schema in PUBLISHED_SCHEMAS]
        conn.execute(f"SET search_path = '{','.join(path)}'")
        conn.execute("SET enable_external_access = false")
        conn.execute("SET lock_configuration = true")
        yield conn


@contextmanager
def open_inputs(
    release: Release, *, read: Sequence[str], copied: Mapping[str, str], empty: Mapping[str, str]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which these tables stand and no others; what is written is kept in memory until the block is left.

    Args:
        release: That they are read from.
        read: Tables that stand as the release has them, as schema.table; they cannot be written.
        copied: Tables of the release by the name under which a copy stands, which may be written.
        empty: Tables that stand without rows, and their columns as DDL.

    Raises:
        ReleaseError: The release is damaged or gone, or lacks one of the tables; all that it lacks are named.
    """
    with _attached(release) as conn:
        held = conn.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'release'").fetchall()
        if lacking := sorted({*read, *copied.values()} - {name for (name,) in held}):
            raise ReleaseError(
                f"Release {release.release_id} does not hold {', '.join(lacking)}: it was made before these were kept, "
                "so what was planned with them cannot be made again."
            )
        for schema in sorted({name.partition(".")[0] for name in (*copied, *empty)}):
            conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, columns in empty.items():
            conn.execute(f"CREATE TABLE {name} ({columns})")
        for name, source in copied.items():
            conn.execute(f"CREATE OR REPLACE TABLE {name} AS FROM release.{source}")
        for name in read:
            conn.execute(f"CREATE VIEW {name} AS FROM release.{name}")
        conn.execute("SET enable_external_access = false")
        conn.execute("SET lock_configuration = true")
        yield conn


@contextmanager
def _attached(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_release(release), duckdb.connect(":memory:") as conn:  # the first opening compares its bytes with its manifest
        conn.execute(f"ATTACH '{str(release.path).replace(chr(39), chr(39) * 2)}' AS release (READ_ONLY)")
        for schema in PUBLISHED_SCHEMAS:
            conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        yield conn


def change_table(conn: duckdb.DuckDBPyConnection, schema: str, table: str, query: str, values: list[object] | None = None) -> None:
    """The table reads as the query has it, in this connection alone.

    Args:
        conn: From `open_scratch`.
        schema: Of the release.
        table: Of the release.
        query: A select from `{source}`, which stands for the table as the release has it.
        values: Bound in the query.
    """
    name = f"{quoted(schema)}.{quoted(table)}"
    conn.execute(f"CREATE OR REPLACE TABLE memory.{name} AS {query.format(source=f'release.{name}')}", values or [])
