"""How many checks the last run passed, kept in the warehouse and so in each release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

COLUMNS: Final = "origin VARCHAR NOT NULL, subject VARCHAR NOT NULL, checks_count BIGINT NOT NULL, failed_count BIGINT NOT NULL"


@dataclass(frozen=True, slots=True)
class CheckTally:
    """Checks on one table or model: Great Expectations' on what arrived, dbt's on what was derived, ours on what was forecast."""

    subject: str
    checks_count: int
    failed_count: int


def record_checks(conn: duckdb.DuckDBPyConnection, *, origin: str, tallies: Sequence[CheckTally]) -> None:
    """The checks of this origin are exactly these; those of other origins stay. The caller holds the transaction."""
    conn.execute("DELETE FROM meta.check_results WHERE origin = ?", [origin])
    if tallies:  # one statement for all rows: DuckDB is slow at one statement a row
        values = [value for tally in tallies for value in (origin, tally.subject, tally.checks_count, tally.failed_count)]
        conn.execute(f"INSERT INTO meta.check_results VALUES {', '.join(['(?, ?, ?, ?)'] * len(tallies))}", values)


def tally_checks(conn: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many checks of the last run passed, and how many there were."""
    row = conn.execute("SELECT sum(checks_count - failed_count)::BIGINT, sum(checks_count)::BIGINT FROM meta.check_results").fetchone()
    return (row[0] or 0, row[1] or 0) if row else (0, 0)


def withheld_reason(conn: duckdb.DuckDBPyConnection) -> str | None:
    """Why nothing may be ordered by the standing forecasts; None where their checks passed."""
    rows = conn.execute("SELECT reason FROM planning.forecast_checks WHERE NOT is_passed ORDER BY check_name").fetchall()
    return ". ".join(reason for (reason,) in rows) + "." if rows else None
