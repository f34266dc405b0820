"""What the warehouse's models were built from, and the orders that changed since: enough to build the rest and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import duckdb

# Everything from all rows; or the orders that changed, with what is told of complete days only where a new one is complete.
Scope: TypeAlias = Literal["everything", "new_day", "same_day"]

TABLES: Final[dict[str, str]] = {
    "meta.changed_orders": "order_id VARCHAR NOT NULL, ordered_at TIMESTAMP",
    "meta.transform_state": "as_of_date DATE NOT NULL, reporting_time_zone VARCHAR NOT NULL, currency_code VARCHAR NOT NULL, "
    "project_hash VARCHAR NOT NULL",
}
# Past this share of all orders, computing every order is faster than finding and replacing those that changed.
_WORTH_A_REBUILD_RATE: Final = 0.2


def scope(conn: duckdb.DuckDBPyConnection, *, project_hash: str) -> Scope:
    """How much of the models this run's rows ask for.

    All of it where nothing is known, where definitions, zone or currency changed, where time ran back, and where most orders changed.
    """
    state = conn.execute(
        "SELECT s.as_of_date = c.as_of_date FROM meta.transform_state s, meta.run_context c "
        "WHERE s.reporting_time_zone = c.reporting_time_zone AND s.currency_code = c.currency_code "
        "AND s.as_of_date <= c.as_of_date AND s.project_hash = ?",
        [project_hash],
    ).fetchone()
    changed = conn.execute(
        "SELECT (SELECT count(DISTINCT order_id) FROM meta.changed_orders), (SELECT count(*) FROM raw.orders)"
    ).fetchone()
    if state is None or (changed is not None and changed[0] > _WORTH_A_REBUILD_RATE * changed[1]):
        return "everything"
    return "same_day" if state[0] else "new_day"


def save(conn: duckdb.DuckDBPyConnection, *, project_hash: str) -> None:
    """The models are those of this run's rows: no order counts as changed any more, and no model names a forgotten customer.

    One transaction. The list of customers to compute is the one model that knows whose an order was before.
    """
    conn.begin()
    if conn.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'int_changed_customers'").fetchone() != (0,):
        forgotten = "SELECT customer_key FROM history.known_customers WHERE is_forgotten"
        conn.execute(f"DELETE FROM intermediate.int_changed_customers WHERE customer_key IN ({forgotten})")
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
