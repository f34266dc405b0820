"""What the warehouse's models were built from, and the orders and tables that changed since: enough to build the rest and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

# Everything from all rows; or the orders that changed, with what is told of complete days only where a new one is complete.
Scope: TypeAlias = Literal["everything", "new_day", "same_day"]

TABLES: Final[dict[str, str]] = {
    "meta.changed_orders": "order_id VARCHAR NOT NULL, ordered_at TIMESTAMP",
    "meta.changed_tables": "table_name VARCHAR NOT NULL",
    "meta.transform_state": "as_of_date DATE NOT NULL, reporting_time_zone VARCHAR NOT NULL, currency_code VARCHAR NOT NULL, "
    "project_hash VARCHAR NOT NULL",
}
# Small tables that every ingest writes anew, whatever came: their rows say whether they changed.
_COMPARED: Final = ("history.stock_levels", "history.stock_snapshots", "meta.draft_lines", "meta.order_changes")
# Tables beside `raw` of which it is known whether they changed; what models read of the last three stays the same within a day.
_WATCHED: Final = frozenset({*_COMPARED, "meta.changed_orders", "meta.run_context", "meta.source_fields", "meta.transform_state"})
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


def compared_tables(conn: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int | None]]:
    """What tells the rows of each compared table from others: how many they are, and the sum of their hashes."""
    found = {}
    for name in _COMPARED:
        count, hashes = conn.execute(f"SELECT count(*), sum(hash(t)) FROM {name} AS t").fetchone() or (0, None)
        found[name] = (count, hashes)
    return found


def note_changed_tables(conn: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Models that read these tables (schema.table) are built by the next transform. The caller holds the transaction."""
    for name in names:
        conn.execute("INSERT INTO meta.changed_tables VALUES (?)", [name])


def changed_tables(conn: duckdb.DuckDBPyConnection, names: Iterable[str]) -> frozenset[str]:
    """Those of the tables (schema.table) that may hold other rows than at the last transform, within the same as-of date."""
    noted = {name for (name,) in conn.execute("SELECT table_name FROM meta.changed_tables").fetchall()}
    if conn.execute("SELECT count(*) FROM meta.changed_orders").fetchone() != (0,):
        noted.add("meta.changed_orders")
    return frozenset(name for name in names if name in noted or not (name.startswith("raw.") or name in _WATCHED))


def save(conn: duckdb.DuckDBPyConnection, *, project_hash: str) -> None:
    """The models are those of this run's rows: no order or table counts as changed any more, and no model names a forgotten customer.

    One transaction. The list of customers to compute is the one model that knows whose an order was before.
    """
    conn.begin()
    if conn.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'int_changed_customers'").fetchone() != (0,):
        forgotten = "SELECT customer_key FROM history.known_customers WHERE is_forgotten"
        conn.execute(f"DELETE FROM intermediate.int_changed_customers WHERE customer_key IN ({forgotten})")
    for table in TABLES:
        conn.execute(f"DELETE FROM {table}")
    conn.execute(
        "INSERT INTO meta.transform_state SELECT as_of_date, reporting_time_zone, currency_code, ? FROM meta.run_context", [project_hash]
    )
    conn.commit()


def forget(conn: duckdb.DuckDBPyConnection) -> None:
    """The next transform builds from all rows. The caller holds the transaction."""
    for table in TABLES:
        conn.execute(f"DELETE FROM {table}")
