"""What was forecast on past days. Nothing else can say it: a forecast made again knows more than it did then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

    import duckdb

LOG: Final = logging.getLogger("ordercast.forecast")

SNAPSHOT_DAYS: Final = 7  # a snapshot a week, and of each the days until a usual order has arrived: bounded, and enough to judge
SNAPSHOT_HORIZON_DAYS: Final = 14
SNAPSHOTS_KEPT_DAYS: Final = 91
OVERRIDES_KEPT_DAYS: Final = 728

TABLES: Final[dict[str, str]] = {
    "history.forecasts": "as_of_date DATE NOT NULL, sku VARCHAR NOT NULL, location_id VARCHAR NOT NULL, demand_date DATE NOT NULL, "
    "statistical_mean_qty DOUBLE, demand_p10_qty DOUBLE, demand_p90_qty DOUBLE",
    "history.forecast_overrides": "override_id VARCHAR NOT NULL, sku VARCHAR NOT NULL, location_id VARCHAR NOT NULL, "
    "demand_date DATE NOT NULL, as_of_date DATE NOT NULL, kind VARCHAR NOT NULL, value DOUBLE NOT NULL, reason VARCHAR NOT NULL, "
    "author VARCHAR NOT NULL, statistical_mean_qty DOUBLE NOT NULL, override_mean_qty DOUBLE NOT NULL",
}


def keep_forecasts(conn: duckdb.DuckDBPyConnection, *, as_of: date) -> bool:
    """`history` says what `planning.forecast_daily` says: a snapshot of the statistical forecast a week, and every overridden day.

    An overridden day is kept as it stood when its override first held on it, beside the statistical forecast of the same run; an
    override that is withdrawn or replaced before the day comes leaves no trace of it. Rows of an earlier run for the same as-of day
    are replaced. Where a later as-of day is kept already, nothing is written: a run for a past day knows what came after. One
    transaction.

    Args:
        conn: The warehouse, this run's forecasts and overrides in it.
        as_of: Last complete day; what is forecast begins the day after.

    Returns:
        Whether anything was kept.
    """
    row = conn.execute(
        "SELECT max(as_of_date) FROM (SELECT as_of_date FROM history.forecasts UNION ALL SELECT as_of_date FROM history.forecast_overrides)"
    ).fetchone()
    if row and row[0] is not None and row[0] > as_of:
        LOG.warning("Forecasts of %s are not kept: the history of forecasts reaches to %s already.", as_of, row[0])
        return False
    day = {"day": as_of}
    conn.begin()
    try:
        conn.execute(f"DELETE FROM history.forecasts WHERE as_of_date = $day OR as_of_date <= $day - {SNAPSHOTS_KEPT_DAYS}::INTEGER", day)
        conn.execute(_SNAPSHOT, day)
        conn.execute(_WITHDRAWN, day)
        conn.execute(_OVERRIDES, day)
        conn.commit()
    except BaseException:
        conn.rollback()
        raise
    return True


_SNAPSHOT: Final = f"""
    INSERT INTO history.forecasts
    SELECT $day, sku, location_id, demand_date, statistical_mean_qty,
        if(override_id IS NULL, demand_p10_qty, NULL), if(override_id IS NULL, demand_p90_qty, NULL)
    FROM planning.forecast_daily
    WHERE demand_date <= $day + {SNAPSHOT_HORIZON_DAYS}::INTEGER AND statistical_mean_qty IS NOT NULL
        AND coalesce((SELECT max(as_of_date) FROM history.forecasts) <= $day - {SNAPSHOT_DAYS}::INTEGER, true)
    ORDER BY sku, location_id, demand_date
"""
_WITHDRAWN: Final = f"""
    DELETE FROM history.forecast_overrides AS kept
    WHERE kept.as_of_date = $day OR kept.demand_date <= $day - {OVERRIDES_KEPT_DAYS}::INTEGER
        OR kept.demand_date > $day AND NOT EXISTS (
            FROM planning.forecast_daily AS daily
            WHERE daily.override_id = kept.override_id AND daily.demand_date = kept.demand_date
                AND daily.sku = kept.sku AND daily.location_id = kept.location_id
        )
"""
_OVERRIDES: Final = """
    INSERT INTO history.forecast_overrides
    SELECT override_id, daily.sku, daily.location_id, daily.demand_date, $day, overrides.kind, overrides.value, overrides.reason,
        overrides.author, daily.statistical_mean_qty, daily.demand_mean_qty
    FROM planning.forecast_daily AS daily
    JOIN meta.forecast_overrides AS overrides USING (override_id)
    WHERE NOT EXISTS (
        FROM history.forecast_overrides AS kept WHERE kept.override_id = daily.override_id AND kept.demand_date = daily.demand_date
    )
    ORDER BY override_id, demand_date
"""
