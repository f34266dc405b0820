"""What waits in quarantine, as people see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import polars as pl

_CODE: Final = r"regexp_extract(reason, '^E\d{3}')"


_GOT: Final = r', got ("(\\.|[^"\\])*"|nothing)'  # a value as JSON; it may hold anything
# What a release says of quarantine: nothing that was typed into a document, and of customers no id, since releases are never changed.
PUBLISHED: Final = f"""
    SELECT {_CODE} AS code, table_name, CASE WHEN table_name <> 'customers' THEN document_id END AS document_id, rule,
        regexp_replace(regexp_replace(reason, '{_GOT}', '', 'g'), '^E\\d{{3}} ', '') AS reason, next_step, first_run_id
    FROM quarantine.document_rows
    WHERE resolved_run_id IS NULL AND rule <> 'document_is_whole'
    ORDER BY first_run_id, table_name, row_key
"""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One row in quarantine. `values`: its fields as they arrived; None where what is held back is its deletion."""

    table: str
    row_key: str
    document_id: str | None
    code: str
    reason: str
    next_step: str
    first_run_id: str
    values: Mapping[str, Any] | None

    @property
    def key(self) -> str:
        """The row's key as people write it, parts joined by a slash."""
        return "/".join(str(part) for part in json.loads(self.row_key))


def quarantined_documents(
    conn: duckdb.DuckDBPyConnection, *, table: str | None = None, code: str | None = None, document: str | None = None
) -> pl.DataFrame:
    """What waits in quarantine: code, table_name, document_id, rule, reason, next_step, first_run_id; a row per cause, oldest first.

    Rows that are held back only because another row of their document is bad are left out.
    """
    return conn.sql(
        f"SELECT {_CODE} AS code, table_name, document_id, rule, reason, next_step, first_run_id FROM quarantine.document_rows "
        "WHERE resolved_run_id IS NULL AND rule <> 'document_is_whole' AND table_name = coalesce($1, table_name) "
        f"AND {_CODE} = coalesce($2, {_CODE}) AND ($3 IS NULL OR document_id = $3) ORDER BY first_run_id, table_name, row_key",
        params=[table, code, document],
    ).pl()


def held_rows(conn: duckdb.DuckDBPyConnection, document: str) -> list[HeldRow]:
    """All rows in quarantine of the documents of this id, the bad ones first."""
    rows = conn.execute(
        f"SELECT table_name, row_key, document_id, {_CODE}, reason, next_step, first_run_id, row_json FROM quarantine.document_rows "
        "WHERE resolved_run_id IS NULL AND document_id = ? ORDER BY rule = 'document_is_whole', table_name, row_key",
        [document],
    ).fetchall()
    return [
        HeldRow(table, row_key, document_id, code, reason, next_step, first_run_id, None if values is None else json.loads(values))
        for table, row_key, document_id, code, reason, next_step, first_run_id, values in rows
    ]


def held_row(conn: duckdb.DuckDBPyConnection, table: str, key: str) -> HeldRow | None:
    """The row of this table and key in quarantine; the key as `HeldRow.key` shows it, or as JSON."""
    rows = conn.execute(
        "SELECT DISTINCT document_id, row_key FROM quarantine.document_rows WHERE resolved_run_id IS NULL AND table_name = ?", [table]
    ).fetchall()
    for document, row_key in rows:
        if key in {row_key, "/".join(str(part) for part in json.loads(row_key))}:
            return next(row for row in held_rows(conn, document) if (row.table, row.row_key) == (table, row_key))
    return None


def standing_warnings(conn: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int, str]]:
    """Code, table, number of rows and one key of what was taken although it looks wrong, by code."""
    return conn.execute("SELECT code, table_name, rows_count, example_key FROM meta.warnings ORDER BY code, table_name").fetchall()
