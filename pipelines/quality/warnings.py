"""What is taken although it looks wrong: counted by code and table in `meta.warnings`, with one key to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.faults import documents as faults
from pipelines.quality.arrivals import Arrival, count
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from pipelines.faults.fault import Fault
    from pipelines.stores.source_contract import Field

# Against the median price of the 90 days before each sale; only items whose dearest sale is far from the cheapest need the median.
_DEAR: Final = (
    "(WITH sold AS (SELECT order_line_id, sku, unit_price, o.created_at FROM raw.order_lines l JOIN raw.orders o USING (order_id)), "
    "varied AS (SELECT sku FROM sold GROUP BY sku HAVING max(unit_price) > 10 * min(unit_price)), "
    "past AS (SELECT order_line_id, unit_price, median(unit_price) OVER (PARTITION BY sku ORDER BY created_at "
    "RANGE BETWEEN INTERVAL 90 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING) AS usual FROM sold SEMI JOIN varied USING (sku)) "
    "SELECT order_line_id FROM past WHERE unit_price > 10 * usual)"
)
_CLOSED: Final = (
    "(SELECT order_id FROM raw.orders JOIN raw.locations USING (location_id) WHERE NOT is_active "
    "AND created_at > (SELECT max(created_at) - INTERVAL 28 DAY FROM raw.orders))"
)
_COST_OVER_PRICE: Final = (
    "(SELECT p.sku FROM raw.products p LEFT JOIN raw.supplier_items t ON t.sku = p.sku AND t.currency IS NOT DISTINCT FROM p.currency "
    "GROUP BY p.sku, p.list_price, p.unit_cost HAVING greatest(p.unit_cost, min(t.unit_cost)) > p.list_price)"
)
# What stands in `raw`: fault, table, and either what is true of its rows or, in brackets, a query that gives their keys.
_STANDING: Final = (
    (faults.FREE_OF_CHARGE, "order_lines", "unit_price = 0"),
    (faults.DEAR, "order_lines", _DEAR),
    (faults.CLOSED_LOCATION, "orders", _CLOSED),
    (faults.NO_LINES, "orders", "order_id NOT IN (SELECT order_id FROM raw.order_lines)"),
    (faults.NEGATIVE_STOCK, "stock_levels", "on_hand < 0"),
    (faults.NO_WAITING, "supplier_items", "lead_time_days = 0"),
    (faults.NO_MINIMUM, "supplier_items", "min_order_qty = 0"),
    (faults.BETWEEN_PACKS, "supplier_items", "order_multiple > 1 AND min_order_qty % order_multiple <> 0"),
    (faults.COST_OVER_PRICE, "products", _COST_OVER_PRICE),
    (faults.WHITE_SPACE, "products", "sku <> trim(sku)"),
)
# What dbt derives, known at the end of a run.
_DERIVED: Final = (
    (faults.IMPOSSIBLE_TIMELINE, "orders", "(SELECT order_id FROM marts.fct_orders WHERE has_impossible_timeline)"),
    (faults.TOTAL_OFF, "orders", "(SELECT document_id FROM marts.fct_reconciliation WHERE rule = 'order_total_vs_lines')"),
)
_LATE_DAYS: Final = 400
_KEY: Final = """array_to_string(from_json(_key, '["VARCHAR"]'), '/')"""


def begin(conn: duckdb.DuckDBPyConnection) -> None:
    """No warning is known of the run that begins."""
    conn.execute("DELETE FROM meta.warnings")


def note_arriving(conn: duckdb.DuckDBPyConnection, arrival: Arrival, *, as_of: date | None) -> None:
    """What only the rows of the batch can tell: orders that come very late, and SKUs that are read without their white space.

    Args:
        conn: The warehouse, in the caller's transaction.
        arrival: Rows that have not been judged yet.
        as_of: The day that the run before reported; None on a first or full read, where everything is old.
    """
    if arrival.table.name == "orders" and as_of is not None:
        created = f"SELECT {_KEY} FROM {arrival.incoming} WHERE {arrival.typed_columns()['created_at']} < DATE '{as_of}' - {_LATE_DAYS} "
        _forget(conn, faults.LATE, "orders")
        _note(conn, faults.LATE, "orders", f"({created} AND (_key ->> 0) NOT IN (SELECT order_id FROM raw.orders))")
    if not any(is_read_trimmed(arrival, field) for field in arrival.present):
        return
    known = "SELECT sku FROM raw.products"
    is_meant = f"sku <> trim(sku) AND sku NOT IN ({known}) AND trim(sku) IN ({known})"
    if not arrival.rows_incoming or not count(conn, f"SELECT count(*) FROM {arrival.incoming} WHERE sku <> trim(sku)"):
        return
    _forget(conn, faults.WHITE_SPACE, arrival.table.name)
    _note(conn, faults.WHITE_SPACE, arrival.table.name, f"(SELECT {_KEY} FROM {arrival.incoming} WHERE {is_meant})")
    conn.execute(f"UPDATE {arrival.incoming} SET sku = trim(sku) WHERE {is_meant}")


def is_read_trimmed(arrival: Arrival, field: Field) -> bool:
    """Whether this is an SKU that may be read without its white space; one that is part of the row's key never is."""
    return field.references == "products.sku" and field.name not in arrival.table.key


def note_standing(conn: duckdb.DuckDBPyConnection) -> None:
    """What the rows of `raw` as they stand now tell."""
    for fault, table, rows in _STANDING:
        _note(conn, fault, table, rows)


def note_derived(conn: duckdb.DuckDBPyConnection) -> None:
    """What the marts tell; it takes the place of what a run before found in them."""
    for fault, table, rows in _DERIVED:
        _forget(conn, fault, table)
        _note(conn, fault, table, rows)


def _forget(conn: duckdb.DuckDBPyConnection, fault: Fault, table: str) -> None:
    """What was noted before; a batch may be read once more, with more in it."""
    conn.execute("DELETE FROM meta.warnings WHERE code = ? AND table_name = ?", [fault.code, table])


def _note(conn: duckdb.DuckDBPyConnection, fault: Fault, table: str, rows: str) -> None:
    key = " || '/' || ".join(quoted(SOURCE_TABLES[table].field(name).warehouse_name) for name in SOURCE_TABLES[table].key)
    chosen = rows if rows.startswith("(") else f"(SELECT {key} FROM raw.{table} WHERE {rows})"
    conn.execute(
        f"INSERT INTO meta.warnings SELECT ?, ?, count(*), min(found.key) FROM {chosen} AS found (key) HAVING count(*) > 0",
        [fault.code, table],
    )
