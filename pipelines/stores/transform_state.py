"""What the warehouse's models were built from, and the orders that changed since: enough to build the rest and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

TABLES: Final[dict[str, str]] = {
    "meta.changed_orders": "order_id VARCHAR NOT NULL, ordered_at TIMESTAMP",
    "meta.transform_state": "as_of_date DATE NOT NULL, reporting_time_zone VARCHAR NOT NULL, currency_code VARCHAR NOT NULL, "
    "project_hash VARCHAR NOT NULL",
}
# Past this share of all orders, computing every order is faster than finding and replacing those that changed.
_WORTH_A_REBUILD_RATE: Final = 0.2


def needs_full_build(conn: duckdb.DuckDBPyConnection, *, project_hash: str) -> bool:
    """Whether the models must be built from all rows: nothing is known, definitions, zone or currency changed, or time ran back."""
    same = conn.execute(
        "SELECT 1 FROM meta.transform_state s, meta.run_context c WHERE s.reporting_time_zone = c.reporting_time_zone "
        "AND s.currency_code = c.currency_code AND s.as_of_date <= c.as_of_date AND s.project_hash = ?",
        [project_hash],
    ).fetchone()
    if same is None:
        return True
    row = conn.execute("SELECT (SELECT count(DISTINCT order_id) FROM meta.changed_orders), (SELECT count(*) FROM raw.orders)").fetchone()
    return row is not None and row[0] > _WORTH_A_REBUILD_RATE * row[1]


def save(conn: duckdb.DuckDBPyConnection, *, project_hash: str) -> None:
    """The models are those of this run's rows: no order counts as changed any more. One transaction."""
    conn.begin()
    conn.execute("DELETE FROM meta.changed_orders")
    conn.execute("DELETE FROM meta.transform_state")
    conn.execute(
        "INSERT INTO meta.transform_state SELECT as_of_date, reporting_time_zone, currency_code, ? FROM meta.run_context", [project_hash]
    )
    conn.commit()


def forget(conn: duckdb.DuckDBPyConnection) -> None:
    """The next transform builds from all rows. The caller holds the transaction."""
    conn.execute("DELETE FROM meta.changed_orders")
    conn.execute("DELETE FROM meta.transform_state")
