"""Which whole run made the plans that stand in the warehouse: a refresh publishes newer figures beside them and has to say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

    import duckdb

# In `history` and not in `meta`, which a release copies: a release says in its manifest whose plans it holds.
TABLES: Final[dict[str, str]] = {
    "history.standing_plans": "run_id VARCHAR NOT NULL, as_of_date DATE NOT NULL, reporting_time_zone VARCHAR NOT NULL, "
    "currency_code VARCHAR NOT NULL, project_hash VARCHAR, published_at TIMESTAMP",
}


@dataclass(frozen=True, slots=True)
class StandingPlans:
    """The plans in the warehouse, and of which run they are. Not published: no `published_at` (naive UTC), no `project_hash`."""

    run_id: str
    as_of_date: date
    reporting_time_zone: str
    currency_code: str
    project_hash: str | None
    published_at: datetime | None


def standing_plans(conn: duckdb.DuckDBPyConnection) -> StandingPlans | None:
    """The plans in the warehouse, whole or begun; None where no run has planned yet."""
    row = conn.execute(
        "SELECT run_id, as_of_date, reporting_time_zone, currency_code, project_hash, published_at FROM history.standing_plans"
    ).fetchone()
    return StandingPlans(*row) if row else None


def begin_planning(conn: duckdb.DuckDBPyConnection) -> None:
    """The plans are those of the run that ingested last, and not whole until it publishes: nobody else may publish them meanwhile."""
    conn.begin()
    conn.execute("DELETE FROM history.standing_plans")
    conn.execute(
        "INSERT INTO history.standing_plans SELECT run_id, as_of_date, reporting_time_zone, currency_code, NULL, NULL FROM meta.run_context"
    )
    conn.commit()


def plans_are_published(conn: duckdb.DuckDBPyConnection) -> None:
    """The plans are whole and published; figures may be refreshed beside them as long as the models' definitions stay the same."""
    conn.execute(
        "UPDATE history.standing_plans SET published_at = ?, project_hash = (SELECT project_hash FROM meta.transform_state)",
        [datetime.now(UTC).replace(tzinfo=None)],
    )


def plans_differ(conn: duckdb.DuckDBPyConnection, planned: StandingPlans) -> str | None:
    """What has changed since these plans so that newer figures cannot stand beside them, in words; None where they can."""
    row = conn.execute(
        "SELECT c.as_of_date, c.reporting_time_zone, c.currency_code, s.project_hash "
        "FROM meta.run_context c LEFT JOIN meta.transform_state s ON true"
    ).fetchone()
    then = (planned.as_of_date, planned.reporting_time_zone, planned.currency_code, planned.project_hash)
    names = ("the as-of date", "the time zone", "the currency", "the models")
    changed = [name for name, now, before in zip(names, row or (None,) * len(names), then, strict=True) if now != before]
    return f"{' and '.join(changed)} changed" if changed else None
