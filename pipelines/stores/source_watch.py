"""How changes of each source table were found, when it was last compared row by row, and what the feed had missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import duckdb

    from pipelines.stores.feed_reading import ReadBy

TABLES: Final[dict[str, str]] = {
    "meta.source_tables": "table_name VARCHAR NOT NULL, read_by VARCHAR NOT NULL, read_at TIMESTAMP NOT NULL, "
    "compared_at TIMESTAMP NOT NULL",
    "meta.reconcile_incidents": "run_id VARCHAR NOT NULL, found_at TIMESTAMP NOT NULL, table_name VARCHAR NOT NULL, day DATE, "
    "missing_count BIGINT NOT NULL, stale_count BIGINT NOT NULL, ghost_count BIGINT NOT NULL",
}


@dataclass(frozen=True, slots=True)
class TableWatch:
    """One source table as the last ingest found it; times are naive UTC of this machine's clock."""

    read_by: ReadBy
    read_at: datetime
    compared_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of one day that stood otherwise in the warehouse: the store's alone, other values, the warehouse's alone."""

    day: date | None  # of the row's first required time; None where the table has none
    missing_count: int
    stale_count: int
    ghost_count: int

    @property
    def rows_count(self) -> int:
        """All of them."""
        return self.missing_count + self.stale_count + self.ghost_count


def watched_tables(conn: duckdb.DuckDBPyConnection) -> dict[str, TableWatch]:
    """The tables by name; empty before the first ingest."""
    rows = conn.execute("SELECT table_name, read_by, read_at, compared_at FROM meta.source_tables").fetchall()
    return {name: TableWatch(*facts) for name, *facts in rows}


def save_watched_tables(conn: duckdb.DuckDBPyConnection, tables: Mapping[str, TableWatch]) -> None:
    """These are the source's tables. The caller holds the transaction."""
    conn.execute("DELETE FROM meta.source_tables")
    if tables:  # one statement for all rows: DuckDB is slow at one statement a row
        values = [value for name, watch in tables.items() for value in (name, watch.read_by, watch.read_at, watch.compared_at)]
        conn.execute(f"INSERT INTO meta.source_tables VALUES {', '.join(['(?, ?, ?, ?)'] * len(tables))}", values)


def last_changes(conn: duckdb.DuckDBPyConnection) -> str:
    """A query of when the newest row of each source table changed in the store: table_name, changed_at (UTC; null where none says)."""
    found = conn.execute(
        "SELECT table_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = 'raw' AND column_name = 'updated_at'"
    ).fetchall()
    parts = [f"SELECT '{name}' AS table_name, max(updated_at) AS changed_at FROM raw.\"{name}\"" for (name,) in found]
    return " UNION ALL ".join(parts) or "SELECT '' AS table_name, NULL::TIMESTAMP AS changed_at WHERE false"


def add_incidents(conn: duckdb.DuckDBPyConnection, found: Mapping[str, Sequence[Difference]], *, run_id: str, at: datetime) -> None:
    """What the feed had missed is on record, a row per table and day. The caller holds the transaction."""
    for name, differences in found.items():
        for one in differences:
            conn.execute(
                "INSERT INTO meta.reconcile_incidents VALUES (?, ?, ?, ?, ?, ?, ?)",
                [run_id, at, name, one.day, one.missing_count, one.stale_count, one.ghost_count],
            )


def incident_lines(conn: duckdb.DuckDBPyConnection) -> list[str]:
    """What the feed had missed when the last run looked, a sentence per table."""
    rows = conn.execute(
        "SELECT table_name, sum(missing_count), sum(stale_count), sum(ghost_count) FROM meta.reconcile_incidents "
        "WHERE run_id = (SELECT run_id FROM meta.feed_state) GROUP BY table_name ORDER BY table_name"
    ).fetchall()
    return [
        f"{name} had changed in the store past its triggers: {missing:,.0f} rows missing, {stale:,.0f} stale, {ghost:,.0f} gone. "
        "They are read again; find out what changed them."
        for name, missing, stale, ghost in rows
    ]


def freshness_note(conn: duckdb.DuckDBPyConnection) -> str | None:
    """Which tables may miss rows since they were last compared; None where triggers note every change, or a release knows nothing of it."""
    if not conn.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'meta' AND table_name = 'source_tables'").fetchall():
        return None
    row = conn.execute(
        "SELECT string_agg(table_name, ', ' ORDER BY table_name), min(compared_at) FROM meta.source_tables WHERE read_by = 'overlap'"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return f"Without change triggers, {row[0]} may miss rows until reconcile; compared last at {row[1]:%Y-%m-%d %H:%M} UTC."
