"""Which orders a batch touched, so that models of orders need to compute those anew and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

    from pipelines.stores.source_contract import SourceTable

# The orders that rows `t` of a table are about. Where a table names none itself, through what it names.
_OF_RETURNS: Final = (
    "SELECT r.order_id FROM t JOIN raw.returns r USING (return_id)",
    "SELECT l.order_id FROM t JOIN raw.return_lines r USING (return_id) JOIN raw.order_lines l ON l.order_line_id = r.order_line_id",
)  # a refund is shared by all lines of its return, and those may be of several orders
_SINCE: Final = "(SELECT min(rate_date) - INTERVAL 1 DAY FROM t)"  # a day covers every zone
_THROUGH: Final[dict[str, tuple[str, ...]]] = {
    "shipment_lines": (
        "SELECT s.order_id FROM t JOIN raw.shipments s USING (shipment_id)",
        "SELECT l.order_id FROM t JOIN raw.order_lines l USING (order_line_id)",
    ),
    "returns": _OF_RETURNS,
    "return_lines": (*_OF_RETURNS, "SELECT l.order_id FROM t JOIN raw.order_lines l USING (order_line_id)"),
    "payments": ("SELECT i.order_id FROM t JOIN raw.invoices i USING (invoice_id)",),
    # a rate values whatever happened from its day on; an old one mended touches so many orders that all are computed
    "fx_rates": (
        f"SELECT order_id FROM raw.orders WHERE created_at >= {_SINCE}",
        f"SELECT order_id FROM raw.order_events WHERE occurred_at >= {_SINCE}",
        f"SELECT order_id FROM raw.invoices WHERE issued_at >= {_SINCE}",
        f"SELECT order_id FROM raw.returns WHERE refunded_at >= {_SINCE}",
        "SELECT l.order_id FROM raw.returns r JOIN raw.return_lines USING (return_id) JOIN raw.order_lines l USING (order_line_id) "
        f"WHERE r.refunded_at >= {_SINCE}",
    ),
}
# A product is in a shop's feed whenever its price moves; orders only care whether it could be had.
_OF_PRODUCTS: Final = "SELECT sku, status, discontinued_at FROM raw.products SEMI JOIN {keys} USING (sku)"


def note_before_change(conn: duckdb.DuckDBPyConnection, table: SourceTable, *, keys: str) -> None:
    """`meta.changed_orders` names the orders that rows of these keys are about, each with the time it was created, as `raw` now says.

    To be called before rows are replaced or deleted, and `note_after_change` after: a row may leave one order for another, and an
    order its day.

    Args:
        keys: Table or view with the table's key columns as `raw` holds them.
    """
    if table.name == "products":
        conn.execute(f"CREATE OR REPLACE TEMP TABLE products_before AS {_OF_PRODUCTS.format(keys=keys)}")
    _note(conn, table, keys)


def note_after_change(conn: duckdb.DuckDBPyConnection, table: SourceTable, *, keys: str) -> None:
    """The same of what the rows are about now; for products, of the orders of those that were retired or revived."""
    if table.name == "products":
        now = _OF_PRODUCTS.format(keys=keys)
        changed = f"SELECT sku FROM (({now} EXCEPT FROM products_before) UNION ALL (FROM products_before EXCEPT {now}))"
        _insert(conn, [f"SELECT order_id FROM raw.order_lines WHERE sku IN ({changed})"])
    _note(conn, table, keys)


def note_orders(conn: duckdb.DuckDBPyConnection, *, where: str) -> None:
    """The orders of which this holds as `raw` now says; SQL over `raw.orders`."""
    _insert(conn, [f"SELECT order_id FROM raw.orders WHERE {where}"])


def _note(conn: duckdb.DuckDBPyConnection, table: SourceTable, keys: str) -> None:
    selects = list(_THROUGH.get(table.name, ()))
    if "order_id" in table.field_names:
        selects.append("SELECT order_id FROM t")
    if selects:
        same = " AND ".join(f"r.{name} = k.{name}" for name in (table.field(name).warehouse_name for name in table.key))
        _insert(conn, selects, rows=f"SELECT r.* FROM raw.{table.name} r SEMI JOIN {keys} k ON {same}")


def _insert(conn: duckdb.DuckDBPyConnection, selects: list[str], *, rows: str = "SELECT 1") -> None:
    conn.execute(
        f"INSERT INTO meta.changed_orders WITH t AS ({rows}), found (order_id) AS ({' UNION '.join(selects)}) "
        "SELECT order_id, o.created_at FROM found LEFT JOIN raw.orders o USING (order_id) WHERE order_id IS NOT NULL"
    )
