"""A customer whose row the shop deletes is forgotten: nothing in the warehouse says any more which orders were theirs."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipelines.quality.arrivals import Arrival, count
from pipelines.quality.changed_orders import note_orders
from pipelines.stores import transform_state
from pipelines.stores.source_contract import SOURCE_TABLES, SourceTable
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LOG: Final = logging.getLogger("ordercast.ingest")
# Who has ever had a row in the shop's `customers`; releases carry nothing of it.
TABLE: Final = "history.known_customers"
_FORGOTTEN: Final = f"SELECT customer_key FROM {TABLE} WHERE is_forgotten"
_RETURNED: Final = "returned_customers"


def begin(conn: duckdb.DuckDBPyConnection) -> None:
    """Nobody is known to have come back in the ingest that begins."""
    conn.execute(f"CREATE OR REPLACE TEMP TABLE {_RETURNED} (customer_key VARCHAR)")


def forget_deleted(conn: duckdb.DuckDBPyConnection) -> None:
    """Customers who were known and have no row any more are forgotten, in `raw` and in quarantine; those who came back are known again.

    To be called when `raw.customers` is up to date, in the transaction of the ingest. What the store has of those who came back is to be
    read again: `keys_of_returned` finds it.
    """
    present = "SELECT customer_key FROM raw.customers UNION ALL SELECT row_key ->> 0 FROM quarantine.document_rows"
    present += " WHERE table_name = 'customers' AND resolved_run_id IS NULL"
    conn.execute(f"INSERT INTO {_RETURNED} {_FORGOTTEN} AND customer_key IN ({present})")
    conn.execute(f"UPDATE {TABLE} SET is_forgotten = false WHERE customer_key IN (SELECT customer_key FROM {_RETURNED})")
    conn.execute(f"INSERT INTO {TABLE} SELECT customer_key, false FROM raw.customers ANTI JOIN {TABLE} USING (customer_key)")
    conn.execute(
        f"CREATE OR REPLACE TEMP TABLE leaving AS SELECT customer_key FROM {TABLE} "
        f"ANTI JOIN ({present}) USING (customer_key) WHERE NOT is_forgotten"
    )
    leaving = count(conn, "SELECT count(*) FROM leaving")
    if leaving:
        _take_out(conn)
        LOG.info("%s customers were deleted in the shop and are forgotten", f"{leaving:,}")
    conn.execute("DROP TABLE leaving")


def is_of_returned(conn: duckdb.DuckDBPyConnection, table: SourceTable) -> bool:
    """Whether the table may have rows of a customer who came back in this ingest."""
    return table in _places() and count(conn, f"SELECT count(*) FROM {_RETURNED}") > 0


def keys_of_returned(conn: duckdb.DuckDBPyConnection, table: SourceTable, rows: pa.RecordBatchReader) -> list[str]:
    """Keys, as JSON, of the rows of customers who came back in this ingest.

    Args:
        conn: The warehouse.
        table: One that `is_of_returned`.
        rows: All rows of the table in the store as text, customers' ids replaced.
    """
    conn.register("all_rows", rows)
    theirs = f"{quoted(_column(table))} IN (SELECT customer_key FROM {_RETURNED})"
    found = conn.execute(f"SELECT DISTINCT _key FROM all_rows WHERE {theirs} ORDER BY _key").fetchall()
    conn.unregister("all_rows")
    return [key for (key,) in found]


def _take_out(conn: duckdb.DuckDBPyConnection) -> None:
    keys = "SELECT customer_key FROM leaving"
    note_orders(conn, where=f"customer_key IN ({keys})")
    for table in _places():
        column = quoted(_column(table))
        change = "DELETE FROM raw.{0}" if _is_key(table) else "UPDATE raw.{0} SET {1} = NULL"
        conn.execute(f"{change.format(table.name, column)} WHERE {column} IN ({keys})")
    transform_state.note_changed_tables(conn, (f"raw.{table.name}" for table in _places()))
    conn.execute("DELETE FROM quarantine.document_rows d USING leaving l WHERE contains(d.row_key, l.customer_key)")
    conn.execute(f"UPDATE {TABLE} SET is_forgotten = true WHERE customer_key IN ({keys})")


def without_forgotten(conn: duckdb.DuckDBPyConnection, arrival: Arrival) -> Arrival:
    """Rows that arrive name no forgotten customer: those that are about one alone count as deleted, the others as anybody's."""
    table = arrival.table
    if table not in _places() or _column(table) not in {field.warehouse_name for field in arrival.present}:
        return arrival
    column = quoted(_column(table))
    theirs = f"{column} IN ({_FORGOTTEN})"
    if not _is_key(table):
        conn.execute(f"UPDATE {arrival.incoming} SET {column} = NULL WHERE {theirs}")
        return arrival
    typed = arrival.typed_columns()
    keys = ", ".join(typed[name] for name in arrival.key_columns)
    conn.execute(f"INSERT INTO {arrival.gone} SELECT _key, {keys} FROM {arrival.incoming} WHERE {theirs}")
    gone = count(conn, f"DELETE FROM {arrival.incoming} WHERE {theirs}")
    return replace(arrival, rows_incoming=arrival.rows_incoming - gone, rows_gone=arrival.rows_gone + gone)


def _places() -> list[SourceTable]:
    """Tables that say something of a customer, but for that of the customers."""
    return [table for table in SOURCE_TABLES.values() if table.customer_field is not None and table.name != "customers"]


def _column(table: SourceTable) -> str:
    return table.customer_field.warehouse_name if table.customer_field else ""


def _is_key(table: SourceTable) -> bool:
    return table.customer_field is not None and table.customer_field.name in table.key
