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
_THROUGH: Final[dict[str, tuple[str, ...]]] = {
    "shipment_lines": (
        "SELECT s.order_id FROM t JOIN raw.shipments s USING (shipment_id)",
        "SELECT l.order_id FROM t JOIN raw.order_lines l USING (order_line_id)",
    ),
    "returns": _OF_RETURNS,
    "return_lines": (*_OF_RETURNS, "SELECT l.order_id FROM t JOIN raw.order_lines l USING (order_line_id)"),
    "payments": ("SELECT i.order_id FROM t JOIN raw.invoices i USING (invoice_id)",),
    "experiments": ("SELECT unit_id FROM t",),
}


def note_changed_orders(conn: duckdb.DuckDBPyConnection, table: SourceTable, *, keys: str) -> None:
    """`meta.changed_orders` names the orders that these rows are about, each with the time it was created, as `raw` now says.

    To be called before rows are replaced or deleted and again after: a row may leave one order for another, and an order its day.

    Args:
        keys: Table or view with the table's key columns as `raw` holds them.
    """
    selects = list(_THROUGH.get(table.name, ()))
    if "order_id" in table.field_names:
        selects.append("SELECT order_id FROM t")
    if not selects:
        return
    same = " AND ".join(f"r.{name} = k.{name}" for name in _key_columns(table))
    conn.execute(
        f"INSERT INTO meta.changed_orders WITH t AS (SELECT r.* FROM raw.{table.name} r SEMI JOIN {keys} k ON {same}), "
        f"found (order_id) AS ({' UNION '.join(selects)}) "
        "SELECT order_id, o.created_at FROM found LEFT JOIN raw.orders o USING (order_id) WHERE order_id IS NOT NULL"
    )


def _key_columns(table: SourceTable) -> list[str]:
    return [table.field(name).warehouse_name for name in table.key]
