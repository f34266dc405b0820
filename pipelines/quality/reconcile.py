"""The store against the warehouse, row by row: what the change feed did not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.quality.arrivals import Arrival, count
from pipelines.quality.warnings import is_read_trimmed
from pipelines.stores.source_watch import Difference
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DIFFERING = "differing"  # temporary table of what `find_differing` found: source_key, raw_key, the key's columns, day, is_missing
COMPARED = "compared"  # temporary table of the store's rows: _key, the key's columns, hashes, _day


def counts_differ(conn: duckdb.DuckDBPyConnection, arrival: Arrival, *, rows_in_store: int) -> bool:
    """Whether the store and `raw` hold another number of rows besides those of this batch.

    Rows of a table whose keys are hashed wait in quarantine unread, so such a table is not counted while one does.

    Args:
        conn: The warehouse, before the batch is applied.
        arrival: The batch of one table.
        rows_in_store: Rows that the store has now and does not mark as deleted.
    """
    keys = f"SELECT _key FROM {arrival.incoming} UNION ALL SELECT _key FROM {arrival.gone}"
    waiting = "SELECT count(*) FROM quarantine.document_rows WHERE table_name = ? AND resolved_run_id IS NULL"
    if count(conn, f"{waiting} AND row_key NOT IN ({keys})", [arrival.table.name]):
        return False
    touched = count(conn, f"SELECT count(*) FROM {arrival.raw} AS r SEMI JOIN ({_touched(arrival)}) AS k ON {_same(arrival, 'r', 'k')}")
    untouched = count(conn, f"SELECT count(*) FROM {arrival.raw}") - touched
    return untouched != rows_in_store - arrival.rows_incoming - arrival.rows_duplicate


@dataclass(frozen=True, slots=True)
class RowDay:
    """SQL for the day a row belongs to, null where it has none: over the store's text, and over the row in `raw`."""

    arriving: str
    standing: str


def find_differing(conn: duckdb.DuckDBPyConnection, arrival: Arrival, rows: pa.RecordBatchReader, *, day: RowDay | None = None) -> int:
    """How many rows the store has. Those that stand otherwise in `raw`, this batch and quarantine left out, stand in a temporary table.

    Each row is cast from the store's text as loading casts it, and the hash of its columns is compared with that of the row in `raw`.
    That includes rows that are read otherwise than the store has them; `differences_in` tells them from the others. White space
    around an SKU is no difference: whether it was taken off hangs on the products there were when the row was read.

    Args:
        conn: The warehouse, before the batch is applied.
        arrival: The batch of one table.
        rows: All rows of the table in the store as text, customers' ids replaced.
        day: Which day a row belongs to; None is that of its first required time, or when it was last changed, UTC.
    """
    day = day or _own_day(arrival)
    typed = arrival.typed_columns()
    keys = ", ".join(f"{typed[name]} AS {quoted(name)}" for name in arrival.key_columns)
    marked = "coalesce(TRY_CAST(is_deleted AS BOOLEAN), false)" if "is_deleted" in arrival.fields else "false"
    sku = next((field.name for field in arrival.present if is_read_trimmed(arrival, field)), None)
    as_read = {**typed, sku: f"trim({typed[sku]})"} if sku else typed
    conn.register("compared_rows", rows)
    conn.execute(
        f"CREATE OR REPLACE TEMP TABLE {COMPARED} AS SELECT _key, {keys}, hash({', '.join(typed.values())}) AS _hash, "
        f"hash({', '.join(as_read.values())}) AS _hash_trimmed, "
        f"{day.arriving} AS _day FROM compared_rows WHERE NOT {marked}"
    )
    conn.unregister("compared_rows")
    _find_differing(conn, arrival, day)
    return count(conn, f"SELECT count(*) FROM {COMPARED}")


def differences_in(conn: duckdb.DuckDBPyConnection, arrival: Arrival) -> tuple[Difference, ...]:
    """Of what `find_differing` found, how many rows of which day the feed did not tell; to be asked once.

    Args:
        conn: The warehouse, before the batch is applied.
        arrival: The batch, in which the rows found have been read again, with all that is corrected in coming in.
    """
    typed = ", ".join(arrival.typed_columns().values())
    same = f"SELECT i._key FROM (SELECT _key, {_typed_keys(arrival)}, hash({typed}) AS _hash FROM {arrival.incoming}) AS i "
    standing = ", ".join(f"r.{quoted(name)}" for name in arrival.typed_columns())
    same += f"JOIN {arrival.raw} AS r ON {_same(arrival, 'i', 'r')} WHERE i._hash = hash({standing})"
    conn.execute(
        f"DELETE FROM {DIFFERING} WHERE source_key IN ({same}) OR "
        f"(raw_key IS NULL AND source_key NOT IN (SELECT _key FROM {arrival.incoming}))"
    )
    found = conn.execute(
        "SELECT day, count(*) FILTER (is_missing), count(*) FILTER (source_key IS NOT NULL AND NOT is_missing), "
        f"count(*) FILTER (source_key IS NULL) FROM {DIFFERING} GROUP BY day ORDER BY day"
    ).fetchall()
    conn.execute(f"DROP TABLE {DIFFERING}")
    conn.execute(f"DROP TABLE {COMPARED}")
    return tuple(Difference(*row) for row in found)


def differing_keys(conn: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str]]:
    """Keys that `compare` found to be read again, and keys of rows that the store has no more, as JSON."""
    lost = conn.execute(f"SELECT DISTINCT source_key FROM {DIFFERING} WHERE source_key IS NOT NULL").fetchall()
    gone = conn.execute(f"SELECT raw_key FROM {DIFFERING} WHERE source_key IS NULL").fetchall()
    return [key for (key,) in lost], [key for (key,) in gone]


def _find_differing(conn: duckdb.DuckDBPyConnection, arrival: Arrival, day: RowDay) -> None:
    names = [quoted(name) for name in arrival.key_columns]
    raw_key = f"to_json([{', '.join(f'{name}::VARCHAR' for name in names)}])::VARCHAR"
    columns = ", ".join(quoted(name) for name in arrival.typed_columns())
    standing = f"SELECT {raw_key} AS _key, {', '.join(names)}, hash({columns}) AS _hash, {day.standing} AS _day FROM {arrival.raw}"
    merged = ", ".join(f"coalesce(s.{name}, r.{name}) AS {name}" for name in names)
    conn.execute(
        f"CREATE OR REPLACE TEMP TABLE {DIFFERING} AS SELECT s._key AS source_key, r._key AS raw_key, {merged}, "
        "coalesce(s._day, r._day) AS day, r._key IS NULL AS is_missing "
        f"FROM {COMPARED} AS s FULL JOIN ({standing}) AS r ON {_same(arrival, 's', 'r')} "
        "WHERE s._hash IS DISTINCT FROM r._hash AND s._hash_trimmed IS DISTINCT FROM r._hash"
    )
    waiting = f"SELECT row_key AS _key FROM quarantine.document_rows WHERE table_name = '{arrival.table.name}' AND resolved_run_id IS NULL"
    known = f"SELECT _key FROM {arrival.incoming} UNION SELECT _key FROM {arrival.gone} UNION {waiting}"
    conn.execute(f"DELETE FROM {DIFFERING} WHERE source_key IN ({known})")
    conn.execute(
        f"DELETE FROM {DIFFERING} AS d USING (SELECT {_typed_keys(arrival)} FROM ({known})) AS k "
        f"WHERE d.source_key IS NULL AND {_same(arrival, 'd', 'k')}"
    )


def _touched(arrival: Arrival) -> str:
    return f"SELECT {_typed_keys(arrival)} FROM (SELECT _key FROM {arrival.incoming} UNION SELECT _key FROM {arrival.gone})"


def _typed_keys(arrival: Arrival) -> str:
    return ", ".join(f"{sql} AS {quoted(name)}" for name, sql in arrival.typed_key().items())


def _same(arrival: Arrival, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in arrival.key_columns)


def _own_day(arrival: Arrival) -> RowDay:
    """The day of the first time that every row has, or of when it was last changed."""
    times = [field for field in arrival.present if field.kind in {"timestamp", "date"}]
    time = next((field for field in times if field.is_required or field.name == "updated_at"), None)
    if time is None:
        return RowDay("NULL::DATE", "NULL::DATE")
    return RowDay(f"CAST({arrival.typed_columns()[time.warehouse_name]} AS DATE)", f"CAST({quoted(time.warehouse_name)} AS DATE)")
