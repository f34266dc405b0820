"""A release as a warehouse that may be written to without changing it: what a question with an "if" is worked out in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from pipelines.stores.releases import PUBLISHED_SCHEMAS, open_release
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.stores.releases import Release


@contextmanager
def open_scratch(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads every table as the release has it and keeps in memory what is written, until the block is left.

    Raises:
        ReleaseError: The release is damaged or gone.
    """
    with open_release(release), duckdb.connect(":memory:") as conn:  # the first opening compares its bytes with its manifest
        conn.execute(f"ATTACH '{str(release.path).replace(chr(39), chr(39) * 2)}' AS release (READ_ONLY)")
        for schema in PUBLISHED_SCHEMAS:
            conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        # a name is looked up in memory first, then in the release; what is created stands in memory
        path = [f"{catalog}.{schema}" for catalog in ("memory", "release") for schema in PUBLISHED_SCHEMAS]
        conn.execute(f"SET search_path = '{','.join(path)}'")
        conn.execute("SET enable_external_access = false")
        conn.execute("SET lock_configuration = true")
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
