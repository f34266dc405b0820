"""What alert rules look at, read from a release as small frames; None where the release or the source lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.alerts.verdicts import Ending
from pipelines.steps.jeopardy_reading import CALLED_OFF_DATE
from pipelines.steps.jeopardy_wording import BROKEN_WORDS
from pipelines.stores.jeopardy import WAITING_ORDERS
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import polars as pl

    from pipelines.alerts.rules import AlertRule
    from pipelines.alerts.verdicts import Waiting

# Of each item the plan that keeps it in stock longest: a transfer may come before an order would.
_OUTLOOK: Final = """
    WITH plans AS (
      SELECT sku, location_id, recommendation_key, expected_receipt AS receipt_date,
        min(stock_date) FILTER (WHERE stock_p10_qty <= 0) AS out_10_date,
        min(stock_date) FILTER (WHERE stock_p50_qty <= 0) AS out_50_date,
        min(stock_date) FILTER (WHERE stock_p90_qty <= 0) AS out_90_date
      FROM planning.recommendations JOIN planning.stock_outlook USING (recommendation_key)
      WHERE is_with_order AND (expected_receipt IS NULL OR stock_date < expected_receipt)
      GROUP BY ALL
    ),
    best AS (
      SELECT * FROM plans
      QUALIFY row_number() OVER (
        PARTITION BY sku, location_id
        ORDER BY out_90_date DESC NULLS FIRST, out_50_date DESC NULLS FIRST, out_10_date DESC NULLS FIRST, receipt_date, recommendation_key
      ) = 1
    ),
    missed AS (
      SELECT sku, location_id, sum(demand_mean_qty) AS missed_qty
      FROM best JOIN planning.forecast_daily USING (sku, location_id)
      WHERE demand_date >= coalesce(out_50_date, out_10_date) AND (receipt_date IS NULL OR demand_date < receipt_date)
      GROUP BY ALL
    )
    SELECT sku, location_id, receipt_date, out_10_date, out_50_date, out_90_date, missed_qty,
      CASE WHEN products.currency_code = ? THEN greatest(list_price_amount - unit_cost_amount, 0) / ? END AS margin_amount
    FROM best LEFT JOIN missed USING (sku, location_id) LEFT JOIN marts.dim_products AS products USING (sku)
    WHERE out_10_date IS NOT NULL
    ORDER BY sku, location_id
"""
_JEOPARDY: Final = f"""
    SELECT order_id, promise_kind, miss_probability, due_date AS promised_date, reason_code, owner, net_reporting_amount / ? AS net_amount,
      replace(reason, format(?, CAST(due_date AS VARCHAR)), '') AS reason
    FROM ({WAITING_ORDERS}) WHERE miss_probability >= ? ORDER BY order_id
"""
_RETURNS: Final = """
    WITH days AS (SELECT CAST(? AS DATE) AS last_day, CAST(? AS INT) AS days, CAST(? AS INT) AS history, CAST(? AS INT) AS lag),
    back AS (
      SELECT sku, created_date > last_day - days AS is_now, sum(returned_qty) AS qty,
        sum(refund_reporting_amount) / nullif(sum(returned_qty) FILTER (WHERE refund_reporting_amount IS NOT NULL), 0) AS refund
      FROM marts.fct_return_lines, days
      WHERE created_date BETWEEN last_day - days - history + 1 AND last_day AND NOT is_test GROUP BY ALL
    ),
    sent AS (
      SELECT sku, shipped_date > last_day - days - lag AS is_now, sum(shipped_qty) AS qty
      FROM marts.fct_ship_cohort_events, days
      WHERE event_type = 'shipped' AND shipped_date BETWEEN last_day - days - history - lag + 1 AND last_day - lag AND NOT is_test
      GROUP BY ALL
    )
    SELECT sku, coalesce(sum(b.qty) FILTER (WHERE is_now), 0)::DOUBLE AS returned_qty,
      coalesce(sum(s.qty) FILTER (WHERE is_now), 0)::DOUBLE AS shipped_qty,
      coalesce(sum(b.qty) FILTER (WHERE NOT is_now), 0)::DOUBLE AS past_returned_qty,
      coalesce(sum(s.qty) FILTER (WHERE NOT is_now), 0)::DOUBLE AS past_shipped_qty,
      max(b.refund) FILTER (WHERE is_now) / ? AS refund_amount
    FROM sent AS s FULL JOIN back AS b USING (sku, is_now) GROUP BY sku ORDER BY sku
"""
_SUPPLIERS: Final = """
    WITH days AS (SELECT CAST(? AS DATE) AS last_day, CAST(? AS INT) AS days, CAST(? AS INT) AS late)
    SELECT supplier_id, count(*) FILTER (WHERE is_late) AS late_lines,
      coalesce(sum(ordered_qty - received_qty) FILTER (WHERE is_late), 0)::BIGINT AS late_qty,
      (sum((ordered_qty - received_qty) * unit_cost) FILTER (WHERE is_late))::DOUBLE / ? AS late_amount,
      min(expected_date) FILTER (WHERE is_late) AS oldest_date,
      count(*) FILTER (WHERE is_judged AND is_now) AS lines, count(*) FILTER (WHERE is_judged AND is_now AND is_on_time) AS on_time_lines,
      count(*) FILTER (WHERE is_judged AND NOT is_now) AS past_lines,
      count(*) FILTER (WHERE is_judged AND NOT is_now AND is_on_time) AS past_on_time_lines
    FROM (
      SELECT r.*, r.is_open AND NOT r.is_cancelled AND r.expected_date < last_day - late AS is_late,
        NOT r.is_cancelled AND r.is_on_time IS NOT NULL AND r.expected_date BETWEEN last_day - days - 363 AND last_day AS is_judged,
        r.expected_date > last_day - days AS is_now, CASE WHEN p.currency_code = ? THEN p.unit_cost_amount END AS unit_cost
      FROM marts.fct_purchase_receipts AS r LEFT JOIN marts.dim_products AS p USING (sku), days
    )
    GROUP BY supplier_id ORDER BY supplier_id
"""

# Missed, kept and called off as the probabilities mean them: what comes of a promise is learned there and judged here alike. Lines do not
# say which of them are gift cards; of an order whose goods have all left, it is those that neither left nor were given up.
_ORDERS: Final = f"""
    WITH asked AS (SELECT unnest(?) AS id, unnest(?) AS order_id, unnest(?) AS promise_kind),
    goods AS (
        SELECT order_id, bool_and(shipped_on_time_qty >= ordered_qty) AS is_on_time
        FROM marts.fct_order_lines SEMI JOIN asked USING (order_id)
        WHERE is_fill_eligible OR shipped_qty > 0 OR given_up_qty > 0
        GROUP BY order_id
    ),
    ended AS (
        SELECT id, CASE promise_kind WHEN 'ship' THEN o.promised_ship_date WHEN 'delivery' THEN o.promised_delivery_date END AS due_date,
            {CALLED_OFF_DATE} AS called_off_date,
            CASE promise_kind WHEN 'ship' THEN o.is_shipped_complete AND goods.is_on_time ELSE o.is_on_time_in_full END AS is_kept
        FROM asked LEFT JOIN marts.fct_orders AS o USING (order_id) LEFT JOIN goods USING (order_id)
    )
    SELECT id, CASE WHEN due_date IS NOT NULL AND NOT coalesce(called_off_date <= due_date, false) THEN NOT coalesce(is_kept, false) END,
        due_date
    FROM ended WHERE due_date IS NULL OR called_off_date <= due_date OR due_date <= ?
"""

# Stock changes when goods leave. A shop's closed days show in the longest pause of a quarter; with few days there is no rhythm.
_PAUSES: Final = """
    WITH days AS (
        SELECT 'orders' AS table_name, ordered_date AS day FROM marts.fct_orders
        UNION SELECT unnest(['shipments', 'stock_levels']), shipped_date FROM marts.fct_order_lines
    ),
    steps AS (
        SELECT table_name, day - lag(day) OVER (PARTITION BY table_name ORDER BY day) AS pause_days
        FROM days WHERE day > CAST(? AS DATE) - 91 AND day <= ?
    )
    SELECT table_name, max(pause_days) FROM steps GROUP BY table_name HAVING count(*) >= 28
"""


def has_table(conn: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the release has this table, as schema.table."""
    schema, _, table = name.partition(".")
    found = conn.execute("SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", [schema, table]).fetchone()
    return found is not None


def lacks_fields(conn: duckdb.DuckDBPyConnection, fields: Sequence[str]) -> tuple[str, ...]:
    """Those of these fields of the source contract that the source lacks."""
    rows = conn.execute("SELECT table_name || '.' || field_name FROM meta.source_fields WHERE is_present").fetchall()
    present = {name for (name,) in rows}
    return tuple(name for name in fields if name not in present)


def read_outlook(conn: duckdb.DuckDBPyConnection, currency_code: str) -> pl.DataFrame | None:
    """Items of which some course of stock ends before anything arrives, as `stock_out_findings` takes them."""
    if not has_table(conn, "planning.stock_outlook"):
        return None
    return conn.execute(_OUTLOOK, [currency_code, _minor(currency_code)]).pl()


def read_jeopardy(conn: duckdb.DuckDBPyConnection, currency_code: str, *, least: float) -> pl.DataFrame | None:
    """Open orders with at least this chance of missing their promise, and those that have missed it, as `jeopardy_findings` takes them."""
    try:
        return conn.execute(_JEOPARDY, [_minor(currency_code), BROKEN_WORDS, least]).pl()
    except (duckdb.CatalogException, duckdb.BinderException):  # plans of before they were judged, or judged otherwise
        return None


def read_returns(conn: duckdb.DuckDBPyConnection, rule: AlertRule, *, as_of: date, currency_code: str) -> pl.DataFrame:
    """Units shipped and returned of each item, now and before, as `return_findings` takes them."""
    told = [rule.told(name) for name in ("days", "history_days", "lag_days")]
    return conn.execute(_RETURNS, [as_of, *told, _minor(currency_code)]).pl()


def read_suppliers(conn: duckdb.DuckDBPyConnection, rule: AlertRule, *, as_of: date, currency_code: str) -> pl.DataFrame:
    """Lines of each supplier that are late, and on time now and before, as `supplier_findings` takes them."""
    told = [rule.told(name) for name in ("days", "late_days")]
    return conn.execute(_SUPPLIERS, [as_of, *told, _minor(currency_code), currency_code]).pl()


def read_forecast_checks(conn: duckdb.DuckDBPyConnection) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The checks of the forecasts, and the bias of the forecasts in use by class, as `drift_findings` takes them.

    Items that are new or had no demand begin with a bias that says nothing about drift.
    """
    if not has_table(conn, "planning.forecast_checks") or not has_table(conn, "planning.backtest_classes"):
        return None
    checks = conn.sql("SELECT check_name, is_passed, measured_rate, limit_rate, reason FROM planning.forecast_checks ORDER BY 1").pl()
    classes = conn.sql(
        "SELECT class_kind, class_name, actual_qty, bias_rate FROM planning.backtest_classes WHERE model = 'auto' "
        "AND class_name NOT IN ('new', 'no demand') ORDER BY 1, 2"
    ).pl()
    return checks, classes


def read_changes(conn: duckdb.DuckDBPyConnection) -> dict[str, datetime | None]:
    """When the newest row of each source table changed, UTC; empty in a release that does not know."""
    if not has_table(conn, "meta.source_changes"):
        return {}
    return dict(conn.execute("SELECT table_name, changed_at FROM meta.source_changes").fetchall())


def read_pauses(conn: duckdb.DuckDBPyConnection, as_of: date) -> dict[str, int]:
    """The most days from one with new rows to the next, by source table; those without a usual rhythm are left out."""
    if not has_table(conn, "marts.fct_orders") or not has_table(conn, "marts.fct_order_lines"):
        return {}
    return {name: int(days) for name, days in conn.execute(_PAUSES, [as_of, as_of]).fetchall()}


def forecast_begins(conn: duckdb.DuckDBPyConnection) -> date | None:
    """The first day that is forecast; None where nothing is."""
    if not has_table(conn, "planning.forecast_daily"):
        return None
    row = conn.execute("SELECT min(demand_date) FROM planning.forecast_daily").fetchone()
    return row[0] if row else None


def read_outcomes(conn: duckdb.DuckDBPyConnection, waiting: Sequence[Waiting], *, as_of: date) -> dict[str, Ending]:
    """What became of those of which the release knows it, by exception: an order missed its promise, an item was out of stock.

    Orders that were called off before their day, or stand in the shop no more, have nothing left to judge.
    """
    found: dict[str, Ending] = {}
    orders = [(one.exception_id, one.subject.removeprefix("order:"), one.promise_kind) for one in waiting if one.kind == "order_jeopardy"]
    if orders and has_table(conn, "marts.fct_orders"):
        rows = conn.execute(_ORDERS, [*(list(column) for column in zip(*orders, strict=True)), as_of]).fetchall()
        found |= {name: Ending(came_about, day) for name, came_about, day in rows}
    items = [one for one in waiting if one.kind == "stock_out"]
    if items and has_table(conn, "marts.fct_stock_daily"):
        found |= _stock_outcomes(conn, items, as_of)
    return found


def _stock_outcomes(conn: duckdb.DuckDBPyConnection, items: Sequence[Waiting], as_of: date) -> dict[str, Ending]:
    asked = [
        (one.exception_id, *one.subject.removeprefix("item:").rsplit("@", 1), one.as_of, one.judged_after) for one in items
    ]  # fmt: skip
    rows = conn.execute(
        "SELECT id, min(stock_date) FROM (SELECT unnest(?) AS id, unnest(?) AS sku, unnest(?) AS location_id, unnest(?) AS since, "
        "unnest(?) AS until) JOIN marts.fct_stock_daily USING (sku, location_id) "
        "WHERE stock_date > since AND stock_date <= until AND available_qty <= 0 GROUP BY id",
        [list(column) for column in zip(*asked, strict=True)],
    ).fetchall()
    over = {one.exception_id: Ending(came_about=False) for one in items if one.judged_after <= as_of}
    return over | {name: Ending(came_about=True, day=day) for name, day in rows}


def _minor(currency_code: str) -> float:
    return float(10 ** MINOR_UNIT_EXPONENTS.get(currency_code, 2))
