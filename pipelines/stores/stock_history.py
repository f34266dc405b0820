"""How stock stood on past days. The shop overwrites its levels, so every ingest keeps what changed; the store cannot give it again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

    import duckdb

LOG: Final = logging.getLogger("ordercast.stock_history")

TABLES: Final[dict[str, str]] = {
    "history.stock_levels": "sku VARCHAR NOT NULL, location_id VARCHAR NOT NULL, valid_from_date DATE NOT NULL, "
    "on_hand BIGINT, committed BIGINT, reserved BIGINT, incoming BIGINT, damaged BIGINT",
    "history.stock_snapshots": "snapshot_date DATE NOT NULL",
}

_MEASURES: Final = ("on_hand", "committed", "reserved", "incoming", "damaged")

# The levels are read some time after the day has closed. Movements arrive in the same snapshot of the store, so what they moved
# since is taken back; what was committed, reserved or damaged meanwhile has no such record and stays as read.
_CLOSING: Final = """
    SELECT levels.sku, levels.location_id, levels.on_hand - coalesce(later.quantity, 0) AS on_hand,
        levels.committed, levels.reserved, levels.incoming, levels.damaged
    FROM raw.stock_levels AS levels
    LEFT JOIN (
        SELECT sku, location_id, cast(sum(quantity) AS BIGINT) AS quantity
        FROM raw.stock_movements
        WHERE NOT coalesce(is_deleted, false) AND cast(timezone($zone, timezone('UTC', occurred_at)) AS DATE) > $day
        GROUP BY ALL
    ) AS later USING (sku, location_id)
    WHERE NOT coalesce(levels.is_deleted, false)
"""


def keep_stock_levels(conn: duckdb.DuckDBPyConnection, *, day: date, time_zone: str) -> bool:
    """`history.stock_levels` says how stock stood when `day` closed, with a row for each sku and location that changed on it.

    Rows of an earlier run for the same day are replaced. A sku and location that the source no longer has is closed by a row of
    nulls: what stands there is unknown, not zero. History only grows: where a later day is kept already, as after the store was
    restored from a backup, nothing is written, because later rows say what changed since the day before them.

    Args:
        conn: The warehouse inside the transaction that loaded `raw`.
        day: Last complete local day of the data, whatever day the run reports.
        time_zone: Zone in which days end.

    Returns:
        Whether the levels were kept.
    """
    row = conn.execute("SELECT max(snapshot_date) FROM history.stock_snapshots").fetchone()
    if row and row[0] is not None and row[0] > day:
        LOG.warning("Stock levels of %s are not kept: the history of stock reaches to %s already.", day, row[0])
        return False
    conn.execute("DELETE FROM history.stock_levels WHERE valid_from_date = ?", [day])
    conn.execute("DELETE FROM history.stock_snapshots WHERE snapshot_date = ?", [day])
    conn.execute("INSERT INTO history.stock_snapshots VALUES (?)", [day])
    differs = " OR ".join(f"closing.{name} IS DISTINCT FROM standing.{name}" for name in _MEASURES)
    conn.execute(
        f"""
        INSERT INTO history.stock_levels
        WITH closing AS ({_CLOSING}),
        standing AS (
            SELECT * FROM history.stock_levels
            QUALIFY row_number() OVER (PARTITION BY sku, location_id ORDER BY valid_from_date DESC) = 1
        )
        SELECT sku, location_id, $day, {", ".join(f"closing.{name}" for name in _MEASURES)}
        FROM closing FULL JOIN standing USING (sku, location_id)
        WHERE {differs}
        ORDER BY ALL
        """,
        {"day": day, "zone": time_zone},
    )
    return True
