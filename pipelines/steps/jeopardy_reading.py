"""Open orders at the end of past days, rebuilt from what happened, with only what was known then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from forecasting.jeopardy_scores import WINDOW_DAYS, WINDOWS
from pipelines.stores.jeopardy import IS_WAITING

if TYPE_CHECKING:
    import duckdb

SNAPSHOT_DAYS: Final = 182  # half a year, of which the oldest days count a tenth
MOST_SNAPSHOTS: Final = 50_000  # of a kind of promise; more do not move what is learned
KINDS: Final = ("ship", "delivery")
_WORKED_SHARE: Final = 0.1  # a weekday with a tenth of an even share of parcels is one on which parcels leave
_BACKLOG_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class OrderSnapshots:
    """What was read.

    Attributes:
        past: Columns of `forecasting.jeopardy` and promise_kind, of sampled orders; sorted by day and order.
        current: The same for every order that stands open at the end of the as-of day, with what a reader is told of it; promise_kind is
            `broken` where no promise is left to keep.
        unseen_missed_counts: By kind, promises missed in the weeks held out by orders that never stood open at the end of a day before.
    """

    past: pl.DataFrame
    current: pl.DataFrame
    unseen_missed_counts: dict[str, int]


def _local_date(moment: str) -> str:
    return f"CAST(timezone((SELECT reporting_time_zone FROM meta.run_context), timezone('UTC', {moment})) AS DATE)"


# A reason of the shop's own is a broken promise; who changed their mind has let the shop off. Of fct_orders as o.
CALLED_OFF_DATE: Final = (
    "CASE WHEN o.is_cancelled AND NOT coalesce(o.cancel_reason IN ('out_of_stock', 'no_stock', 'inventory', 'discontinued'), false) "
    "THEN o.ended_date END"
)
# Where a source tells no promise nothing is
# read: its orders may never end, and one row for each of their days would fill the memory.
_ORDERS: Final = f"""
    CREATE OR REPLACE TEMP TABLE jeopardy_orders AS
    WITH chosen AS (
        SELECT * FROM marts.fct_orders
        WHERE ($has_ship OR $has_delivery) AND NOT is_test AND ordered_date <= $as_of AND coalesce(ended_date >= $first_day, true)
    ), goods AS (
        SELECT order_id, bool_and(shipped_qty >= ordered_qty) AS has_left, max(last_left_at) AS last_left_at,
            min(first_shipped_at) AS first_left_at, bool_and(shipped_on_time_qty >= ordered_qty) AS is_ship_kept, count(*) AS lines_count
        FROM intermediate.int_order_lines_fulfilled
        WHERE NOT is_gift_card AND order_id IN (SELECT order_id FROM chosen)
        GROUP BY order_id
    )
    SELECT o.order_id, o.ordered_at, o.ordered_date, o.approved_at, o.released_at, g.first_left_at,
        CASE WHEN g.has_left THEN g.last_left_at END AS all_left_at,
        CASE WHEN g.has_left THEN {_local_date("g.last_left_at")} END AS all_left_date,
        o.delivered_date, o.ended_date, o.promised_ship_date, o.promised_delivery_date,
        o.ship_promise_basis = 'confirmed' AND $has_ship AS has_ship_promise,
        o.promise_basis <> 'derived' AND $has_delivery AS has_delivery_promise,
        g.is_ship_kept, coalesce(o.is_on_time_in_full, false) AS is_delivery_kept,
        {CALLED_OFF_DATE} AS called_off_date,
        o.location_id, o.channel_id, o.ship_to_region, o.carrier, g.lines_count, o.net_reporting_amount,
        o.is_open, o.is_shipped_complete
    FROM chosen AS o JOIN goods AS g USING (order_id)
"""
_DAYS: Final = """
    CREATE OR REPLACE TEMP TABLE jeopardy_days AS
    SELECT CAST(day AS DATE) AS day,
        timezone('UTC', timezone((SELECT reporting_time_zone FROM meta.run_context), CAST(CAST(day AS DATE) + 1 AS TIMESTAMP))) AS ends_at
    FROM generate_series($first_day, $as_of, INTERVAL 1 DAY) AS days (day)
"""
_STANDING: Final = """
    CREATE OR REPLACE TEMP TABLE jeopardy_standing AS
    WITH promised AS (SELECT * FROM jeopardy_orders WHERE has_ship_promise OR has_delivery_promise)
    SELECT order_id, CAST(unnest(generate_series(
        greatest(ordered_date, $first_day),
        least($as_of, coalesce(ended_date, $as_of + 1) - 1, greatest(promised_ship_date, promised_delivery_date) - 1),
        INTERVAL 1 DAY
    )) AS DATE) AS day
    FROM promised
    UNION
    SELECT order_id, $as_of FROM promised WHERE coalesce(ended_date > $as_of, true)
"""
_LOADS: Final = f"""
    CREATE OR REPLACE TEMP TABLE jeopardy_loads AS
    WITH places AS (SELECT DISTINCT location_id FROM jeopardy_orders),
    left_counts AS (SELECT location_id, all_left_date AS day, count(*) AS left_count FROM jeopardy_orders GROUP BY ALL),
    came_counts AS (SELECT location_id, ordered_date AS day, count(*) AS came_count FROM jeopardy_orders GROUP BY ALL),
    changes AS (
        SELECT location_id, greatest(ordered_date, $first_day) AS day, 1 AS change FROM jeopardy_orders
        UNION ALL
        SELECT location_id, greatest(least(all_left_date, ended_date), $first_day), -1 FROM jeopardy_orders
        WHERE coalesce(all_left_date, ended_date) IS NOT NULL
    ),
    changed AS (SELECT location_id, day, sum(change) AS change FROM changes GROUP BY ALL),
    counted AS (
        SELECT places.location_id, days.day, coalesce(left_count, 0) AS left_count, coalesce(came_count, 0) AS came_count,
            sum(coalesce(change, 0)) OVER (PARTITION BY places.location_id ORDER BY days.day) AS waiting_count
        FROM places CROSS JOIN jeopardy_days AS days
        LEFT JOIN left_counts USING (location_id, day)
        LEFT JOIN came_counts USING (location_id, day)
        LEFT JOIN changed USING (location_id, day)
    )
    SELECT location_id, day,
        CAST(waiting_count / nullif(avg(left_count) OVER recent, 0) AS DOUBLE) AS backlog_days,
        CAST(came_count / nullif(avg(came_count) OVER before, 0) AS DOUBLE) AS intake_ratio
    FROM counted
    WINDOW recent AS (PARTITION BY location_id ORDER BY day ROWS BETWEEN {_BACKLOG_DAYS - 1} PRECEDING AND CURRENT ROW),
        before AS (PARTITION BY location_id ORDER BY day ROWS BETWEEN {_BACKLOG_DAYS} PRECEDING AND 1 PRECEDING)
"""
# Who ordered first is served first. A line of which a part has left still counts whole until the rest has: when parts left is not kept.
_SHORT: Final = f"""
    CREATE OR REPLACE TEMP TABLE jeopardy_short AS
    WITH spans AS (
        SELECT l.order_id, l.order_line_id, l.sku, l.location_id, l.ordered_qty, o.ordered_at,
            greatest(o.ordered_date, $first_day) AS from_day,
            least(
                $as_of + 1, coalesce(CASE WHEN l.shipped_qty >= l.ordered_qty THEN {_local_date("l.last_left_at")} END, $as_of + 1),
                coalesce(o.ended_date, $as_of + 1)
            ) AS until_day
        FROM intermediate.int_order_lines_fulfilled AS l JOIN jeopardy_orders AS o USING (order_id)
        WHERE l.is_from_stock
    ),
    waiting AS (
        SELECT * EXCLUDE (from_day, until_day), CAST(unnest(generate_series(from_day, until_day - 1, INTERVAL 1 DAY)) AS DATE) AS day
        FROM spans WHERE until_day > from_day
    ),
    queue AS (
        SELECT *, sum(ordered_qty) OVER (PARTITION BY sku, location_id, day ORDER BY ordered_at, order_id, order_line_id) AS through_qty
        FROM waiting
    ),
    short AS (
        SELECT q.order_id, q.order_line_id, q.sku, q.location_id, q.day,
            least(q.ordered_qty, q.through_qty - greatest(s.on_hand_qty, 0)) AS short_qty
        FROM queue AS q
        JOIN marts.fct_stock_daily AS s ON s.sku = q.sku AND s.location_id = q.location_id AND s.stock_date = q.day
        WHERE q.through_qty > greatest(s.on_hand_qty, 0)
    ),
    coming AS (
        SELECT r.sku, r.location_id, r.confirmed_date, coalesce(r.received_date, r.closed_date) AS gone_date,
            coalesce(r.confirmed_date + CAST(i.lead_time_days AS INTEGER), r.expected_date) AS due_date
        FROM marts.fct_purchase_receipts AS r LEFT JOIN marts.dim_supplier_items AS i USING (supplier_id, sku)
        WHERE NOT r.is_cancelled AND r.confirmed_date IS NOT NULL
    ),
    expected AS (
        SELECT s.sku, s.location_id, s.day, min(greatest(c.due_date, s.day + 1)) AS inbound_date
        FROM (SELECT DISTINCT sku, location_id, day FROM short) AS s
        JOIN coming AS c ON s.sku = c.sku AND s.location_id = c.location_id
        WHERE c.confirmed_date <= s.day AND coalesce(c.gone_date > s.day, true)
        GROUP BY ALL
    )
    SELECT order_id, day, CAST(sum(short_qty) AS BIGINT) AS short_qty,
        CASE WHEN count(inbound_date) = count(*) THEN max(inbound_date) END AS inbound_date
    FROM short LEFT JOIN expected USING (sku, location_id, day)
    GROUP BY ALL
"""
_SNAPSHOTS: Final = """
    CREATE OR REPLACE TEMP TABLE jeopardy_snapshots AS
    WITH staged AS (
        SELECT o.*, s.day, d.ends_at,
            CASE
                WHEN o.all_left_date <= s.day THEN 5 WHEN o.first_left_at < d.ends_at THEN 4
                WHEN o.released_at < d.ends_at THEN 3 WHEN o.approved_at < d.ends_at THEN 2 ELSE 1
            END AS stage
        FROM jeopardy_standing AS s JOIN jeopardy_orders AS o USING (order_id) JOIN jeopardy_days AS d USING (day)
    )
    SELECT *,
        CASE
            WHEN has_ship_promise AND stage < 5 AND day < promised_ship_date THEN 'ship'
            WHEN has_delivery_promise AND day < promised_delivery_date THEN 'delivery'
            WHEN day = $as_of AND (has_delivery_promise OR (has_ship_promise AND stage < 5)) THEN 'broken'
        END AS promise_kind
    FROM staged
"""
_READ: Final = f"""
    WITH held AS (
        SELECT s.order_id, s.day
        FROM jeopardy_snapshots AS s JOIN staging.stg_shop__payment_holds AS h USING (order_id)
        WHERE h.placed_at < s.ends_at AND coalesce(h.released_at >= s.ends_at, true)
        GROUP BY ALL
    ),
    due AS (
        SELECT *, CASE
                WHEN promise_kind = 'ship' THEN promised_ship_date
                WHEN promise_kind = 'delivery' OR has_delivery_promise THEN promised_delivery_date
                ELSE promised_ship_date
            END AS due_date
        FROM jeopardy_snapshots
        WHERE promise_kind IS NOT NULL AND (day = $as_of OR md5_number_lower(order_id) % 1000 < CASE promise_kind
            WHEN 'ship' THEN $ship_share ELSE $delivery_share END)
    )
    SELECT s.order_id, s.day AS snapshot_date, s.due_date, s.promise_kind, s.stage,
        greatest(date_diff('second', CASE s.stage
            WHEN 5 THEN s.all_left_at WHEN 4 THEN s.first_left_at WHEN 3 THEN s.released_at WHEN 2 THEN s.approved_at ELSE s.ordered_at
        END, s.ends_at), 0) / 3600.0 AS stage_hours,
        coalesce(f.short_qty, 0) AS short_qty, CAST(f.inbound_date - s.due_date AS BIGINT) AS inbound_gap_days, f.inbound_date,
        h.order_id IS NOT NULL AS is_held, standing.backlog_days, came.intake_ratio, s.lines_count, s.location_id, s.channel_id,
        s.ship_to_region, CASE WHEN s.stage = 5 THEN s.carrier END AS carrier,
        CASE
            WHEN s.due_date > $as_of OR s.called_off_date <= s.due_date THEN NULL
            WHEN s.promise_kind = 'ship' THEN NOT s.is_ship_kept ELSE NOT s.is_delivery_kept
        END AS is_missed,
        s.promised_ship_date, s.promised_delivery_date, s.net_reporting_amount, {IS_WAITING} AS was_waiting
    FROM due AS s
    LEFT JOIN jeopardy_short AS f USING (order_id, day)
    LEFT JOIN held AS h USING (order_id, day)
    LEFT JOIN jeopardy_loads AS standing ON s.location_id = standing.location_id AND s.day = standing.day
    LEFT JOIN jeopardy_loads AS came ON s.location_id = came.location_id AND s.ordered_date = came.day
    ORDER BY s.day, s.order_id
"""
_UNSEEN: Final = """
    SELECT count(*) FILTER (
            WHERE has_ship_promise AND NOT is_ship_kept AND promised_ship_date BETWEEN $held_from AND $as_of
                AND NOT coalesce(called_off_date <= promised_ship_date, false)
                AND order_id NOT IN (SELECT order_id FROM jeopardy_snapshots WHERE promise_kind = 'ship')),
        count(*) FILTER (
            WHERE has_delivery_promise AND NOT is_delivery_kept AND promised_delivery_date BETWEEN $held_from AND $as_of
                AND NOT coalesce(called_off_date <= promised_delivery_date, false)
                AND order_id NOT IN (SELECT order_id FROM jeopardy_snapshots WHERE promise_kind = 'delivery'))
    FROM jeopardy_orders
"""
_WEEKDAYS: Final = """
    SELECT 'ship' AS promise_kind, location_id, isodow(all_left_date) AS weekday, count(*) AS orders_count
    FROM jeopardy_orders WHERE all_left_date BETWEEN $first_day AND $last_day GROUP BY ALL
    UNION ALL
    SELECT 'delivery', NULL, isodow(delivered_date), count(*)
    FROM jeopardy_orders WHERE delivered_date BETWEEN $first_day AND $last_day GROUP BY ALL
    ORDER BY ALL
"""
_TABLES: Final = ("orders", "days", "standing", "loads", "short", "snapshots")


def read_snapshots(conn: duckdb.DuckDBPyConnection, *, as_of: date, kinds: frozenset[str]) -> OrderSnapshots:
    """Open orders of the last `SNAPSHOT_DAYS` ends of day, and those of now.

    Promises are those that stand in the store now: it keeps no earlier ones. An inbound's day is the supplier's lead time after its
    confirmation, where that is known, because the day on the order may have been edited since.

    Args:
        conn: The warehouse, its marts built; temporary tables come and go.
        as_of: Last complete day.
        kinds: Of `KINDS`, the promises that the source tells.
    """
    first_day, held_from = as_of - timedelta(days=SNAPSHOT_DAYS), as_of - timedelta(days=WINDOWS * WINDOW_DAYS - 1)
    span = {"as_of": as_of, "first_day": first_day}
    try:
        conn.execute(_ORDERS, span | {"has_ship": "ship" in kinds, "has_delivery": "delivery" in kinds})
        conn.execute(_DAYS, span)
        for statement in (_STANDING, _LOADS, _SHORT):
            conn.execute(statement, {name: value for name, value in span.items() if f"${name}" in statement})
        conn.execute(_SNAPSHOTS, {"as_of": as_of})
        counts = dict(conn.execute("SELECT promise_kind, count(*) FROM jeopardy_snapshots GROUP BY ALL").fetchall())
        shares = {f"{kind}_share": 1000 * MOST_SNAPSHOTS // max(counts.get(kind, 0), MOST_SNAPSHOTS) for kind in KINDS}
        found = conn.execute(_READ, {"as_of": as_of} | shares).pl()
        unseen = conn.execute(_UNSEEN, {"as_of": as_of, "held_from": held_from}).fetchone() or (0, 0)
        weekdays = conn.execute(_WEEKDAYS, {"first_day": first_day, "last_day": held_from - timedelta(days=1)}).pl()
    finally:
        for name in _TABLES:
            conn.execute(f"DROP TABLE IF EXISTS jeopardy_{name}")
    rows = with_working_days(found, weekdays)
    is_now, is_sampled = pl.col("snapshot_date") == as_of, pl.col("snapshot_date") < as_of
    return OrderSnapshots(rows.filter(is_sampled), rows.filter(is_now), dict(zip(KINDS, unseen, strict=True)))


def with_working_days(rows: pl.DataFrame, weekdays: pl.DataFrame) -> pl.DataFrame:
    """The rows with working_days_left: days after snapshot_date up to due_date on which orders usually leave their place, or arrive.

    Args:
        rows: snapshot_date, due_date, promise_kind, location_id.
        weekdays: promise_kind, location_id (null: of all), weekday (1 is Monday), orders_count. Where nothing is known every day counts.
    """
    begin, end = (rows[name].to_numpy().astype("datetime64[D]") + 1 for name in ("snapshot_date", "due_date"))
    left = np.maximum((end - begin).astype(np.int64), 0)
    for (kind, location_id), known in weekdays.group_by("promise_kind", "location_id", maintain_order=True):
        counts = dict(known.select("weekday", "orders_count").iter_rows())
        even = sum(counts.values()) / 7
        is_worked = [counts.get(weekday, 0) >= _WORKED_SHARE * even for weekday in range(1, 8)]
        is_there = pl.col("location_id") == location_id if location_id else pl.lit(value=True)
        chosen = rows.select(((pl.col("promise_kind") == kind) & is_there).fill_null(value=False)).to_series().to_numpy()
        left[chosen] = np.maximum(np.busday_count(begin[chosen], end[chosen], weekmask=is_worked), 0)
    return rows.with_columns(pl.Series("working_days_left", left))
