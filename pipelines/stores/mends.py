"""What people said about documents in quarantine, in the operational store: values mended, and blocks of publishing accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.stores.own_tables import publishing_acceptance, quarantine_mend

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from pipelines.stores.operational import OperationalStore

# Not in a schema that releases carry: a value may be anything that stood in the shop.
TABLE: Final = "quarantine.mends"
COLUMNS: Final = "mend_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, row_key VARCHAR NOT NULL"


def list_mends(store: OperationalStore, *, is_standing: bool = True) -> list[dict[str, Any]]:
    """All columns of mends that nobody has withdrawn, or of all, oldest first; empty in a store that knows none yet."""
    table = quarantine_mend
    chosen = sa.select(table).order_by(table.c.mended_at, table.c.mend_id)
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return []
        rows = conn.execute(chosen.where(table.c.withdrawn_at.is_(None)) if is_standing else chosen)
        return [dict(row) for row in rows.mappings()]


def accepted_holds(store: OperationalStore) -> frozenset[str]:
    """Ids of the blocks of publishing that a person has accepted."""
    with store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(publishing_acceptance.name):
            return frozenset()
        return frozenset(conn.execute(sa.select(publishing_acceptance.c.hold_id)).scalars())


def unapplied_keys(conn: duckdb.DuckDBPyConnection, standing: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Keys of rows, by table, that were mended or unmended since the last ingest, to be read again."""
    now = {(mend["mend_id"], mend["table_name"], mend["row_key"]) for mend in standing}
    keys: dict[str, list[str]] = {}
    for _, table, key in sorted(now ^ set(conn.execute(f"SELECT mend_id, table_name, row_key FROM {TABLE}").fetchall())):
        keys.setdefault(table, []).append(key)
    return keys


def write_mends(conn: duckdb.DuckDBPyConnection, standing: Sequence[dict[str, Any]]) -> None:
    """The warehouse knows that it was read with exactly these. The caller holds the transaction."""
    conn.execute(f"DELETE FROM {TABLE}")
    for mend in standing:
        conn.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", [mend["mend_id"], mend["table_name"], mend["row_key"]])
