"""The warehouse: one DuckDB file, one writer. Its tables for arriving data derive from the source contract."""

from __future__ import annotations

import logging
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from pipelines.errors import SourceContractError, WarehouseUnavailableError
from pipelines.stores import (
    check_results,
    draft_lines,
    forecast_history,
    mends,
    metrics_targets,
    overrides,
    planning_runs,
    policy_rules,
    source_watch,
    standing_plans,
    stock_history,
    transform_state,
)
from pipelines.stores.durable import is_of_full_disk
from pipelines.stores.source_contract import SOURCE_TABLES, WAREHOUSE_TYPES, SourceTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    import polars as pl

LOG: Final = logging.getLogger("ordercast.warehouse")
_DAMAGED_LOG: Final = "Failure while replaying WAL file"
# A failed checkpoint on a full disk kills the connection, so room is asked for first: this, or the file's size again.
LEAST_FREE_BYTES: Final = 256 * 1024**2

OWN_TABLES: Final[dict[str, str]] = {
    "meta.feed_state": "source VARCHAR PRIMARY KEY, source_epoch VARCHAR, position VARCHAR, run_id VARCHAR, "
    "rows_in BIGINT, rows_quarantined BIGINT",
    "meta.run_context": "run_id VARCHAR NOT NULL, as_of_date DATE NOT NULL, reporting_time_zone VARCHAR NOT NULL, "
    "currency_code VARCHAR NOT NULL, merchant_name VARCHAR NOT NULL, origin VARCHAR NOT NULL",
    "meta.source_fields": "table_name VARCHAR NOT NULL, field_name VARCHAR NOT NULL, is_present BOOLEAN NOT NULL",
    "meta.ingest_counts": "run_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, rows_in BIGINT NOT NULL, "
    "rows_loaded BIGINT NOT NULL, rows_deleted BIGINT NOT NULL, rows_quarantined BIGINT NOT NULL, "
    "rows_duplicate BIGINT NOT NULL",
    "meta.publishing_holds": "hold_id VARCHAR NOT NULL, code VARCHAR NOT NULL, table_name VARCHAR NOT NULL, reason VARCHAR NOT NULL, "
    "run_id VARCHAR NOT NULL, measured_count BIGINT NOT NULL, limit_count BIGINT NOT NULL, is_accepted BOOLEAN NOT NULL",
    "meta.warnings": "code VARCHAR NOT NULL, table_name VARCHAR NOT NULL, rows_count BIGINT NOT NULL, example_key VARCHAR NOT NULL",
    "meta.check_results": check_results.COLUMNS,
    "meta.day_checks": "as_of_date DATE NOT NULL, subject VARCHAR NOT NULL, measure VARCHAR NOT NULL, value DOUBLE NOT NULL, usual DOUBLE, "
    "low DOUBLE, high DOUBLE, is_usual BOOLEAN, basis VARCHAR NOT NULL",
    **transform_state.TABLES,
    **source_watch.TABLES,
    "meta.metric_targets": metrics_targets.COLUMNS,
    overrides.TABLE: overrides.COLUMNS,
    policy_rules.TABLE: policy_rules.COLUMNS,
    **draft_lines.TABLES,
    mends.TABLE: mends.COLUMNS,
    "history.known_customers": "customer_key VARCHAR NOT NULL, is_forgotten BOOLEAN NOT NULL",
    "quarantine.document_rows": "table_name VARCHAR NOT NULL, document_id VARCHAR, row_key VARCHAR NOT NULL, "
    "row_json VARCHAR, rule VARCHAR NOT NULL, reason VARCHAR NOT NULL, next_step VARCHAR NOT NULL, "
    "first_run_id VARCHAR NOT NULL, last_run_id VARCHAR NOT NULL, resolved_run_id VARCHAR",
    **stock_history.TABLES,
    **forecast_history.TABLES,
    **standing_plans.TABLES,
    # Filled after dbt has built its views on them, so they stand from the start and never change their shape.
    "planning.customer_scores": "status_date DATE NOT NULL, customer_key VARCHAR NOT NULL, repeat_count BIGINT NOT NULL, "
    "t_x_weeks DOUBLE NOT NULL, age_weeks DOUBLE NOT NULL, p_alive DOUBLE, expected_purchases_91_days DOUBLE, "
    "expected_purchases_364_days DOUBLE, lifetime_value_364_days_amount BIGINT, currency_code VARCHAR NOT NULL, "
    "is_one_time BOOLEAN NOT NULL, is_too_young BOOLEAN NOT NULL, is_churned BOOLEAN",
    "planning.customer_model": "as_of_date DATE NOT NULL, customers_count BIGINT NOT NULL, repeat_customers_count BIGINT NOT NULL, "
    "churn_threshold DOUBLE NOT NULL, refusal_reason VARCHAR, value_refusal_reason VARCHAR, holdout_refusal_reason VARCHAR, "
    "r DOUBLE, alpha_weeks DOUBLE, a DOUBLE, b DOUBLE, log_likelihood DOUBLE, p DOUBLE, q DOUBLE, gamma_amount DOUBLE, "
    "value_log_likelihood DOUBLE, frequency_value_correlation DOUBLE, currency_code VARCHAR NOT NULL, holdout_from DATE, "
    "holdout_days BIGINT, holdout_customers_count BIGINT, holdout_actual_count DOUBLE, holdout_predicted_count DOUBLE, "
    "holdout_naive_count DOUBLE, holdout_bias_rate DOUBLE, holdout_naive_bias_rate DOUBLE, holdout_absolute_error_mean DOUBLE, "
    "holdout_naive_absolute_error_mean DOUBLE, holdout_actual_amount BIGINT, holdout_predicted_amount BIGINT, "
    "holdout_value_bias_rate DOUBLE",
    "planning.customer_holdout": "repeat_class BIGINT NOT NULL, customers_count BIGINT NOT NULL, actual_count DOUBLE NOT NULL, "
    "predicted_count DOUBLE NOT NULL, naive_count DOUBLE NOT NULL",
    "planning.backtest_run": "run_id VARCHAR NOT NULL, as_of_date DATE NOT NULL, method_version VARCHAR NOT NULL, "
    "horizon_days BIGINT NOT NULL, demand_qty DOUBLE NOT NULL",
    "planning.backtest_series": "sku VARCHAR, location_id VARCHAR, windows_count BIGINT, horizon_days BIGINT, actual_qty DOUBLE, "
    "wape_rate DOUBLE, bias_rate DOUBLE, cumulative_bias_rate DOUBLE, mase DOUBLE, rmsse DOUBLE, weighted_quantile_loss DOUBLE, "
    "band_coverage_rate DOUBLE, fva_rate DOUBLE, naive_wape_rate DOUBLE, naive_mase DOUBLE, naive_bias_rate DOUBLE",
    "planning.backtest_weeks": "cutoff_date DATE NOT NULL, week_ahead BIGINT NOT NULL, until_date DATE NOT NULL, sku VARCHAR NOT NULL, "
    "location_id VARCHAR NOT NULL, model VARCHAR NOT NULL, days_count BIGINT NOT NULL, actual_qty DOUBLE NOT NULL, "
    "error_qty DOUBLE NOT NULL, absolute_error_qty DOUBLE NOT NULL, in_band_days_count BIGINT NOT NULL, "
    "compared_absolute_error_qty DOUBLE NOT NULL, naive_absolute_error_qty DOUBLE NOT NULL, scaled_error DOUBLE, "
    "scaled_days_count BIGINT NOT NULL",
    "planning.forecast_checks": "check_name VARCHAR NOT NULL, is_passed BOOLEAN NOT NULL, measured_rate DOUBLE, usual_rate DOUBLE, "
    "limit_rate DOUBLE NOT NULL, basis VARCHAR NOT NULL, reason VARCHAR",
    "planning.forecast_broken": "sku VARCHAR NOT NULL, location_id VARCHAR NOT NULL, reason VARCHAR NOT NULL",
    planning_runs.TABLE: planning_runs.COLUMNS,
}
_IN_USE: Final = re.compile("Could not set lock|Conflicting lock|different configuration")
_COLUMN_ENDS: Final = re.compile(r",\s*(?![^(]*\))")  # no comma of DECIMAL(38, 4)
SCHEMAS: Final = ("raw", "meta", "quarantine", "planning", "history")


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a run reports about, written by ingest and read by every later step."""

    run_id: str
    as_of_date: date
    reporting_time_zone: str
    currency_code: str
    merchant_name: str
    origin: str


@contextmanager
def open_warehouse(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse with all its own tables in place, closed at the end.

    Work that was not committed when the block is left is gone. What a killed run committed last stands in a log beside the file; a log
    that is damaged is put aside, and the warehouse goes on from its last checkpoint: rows and the feed's position are of one moment in
    either, so the next ingest reads what changed since.

    Raises:
        WarehouseUnavailableError: Another process writes it, it does not exist (read only), or the disk is nearly full or became
            full inside the block: the connection is then of no more use, and what was committed stands.
    """
    if read_only and not path.exists():
        raise WarehouseUnavailableError(f"There is no warehouse at {path} yet: `ordercast run` builds it.")
    if not read_only:
        _require_free_space(path)
    conn = _connect(path, read_only=read_only)
    try:
        if not read_only:
            _create_tables(conn)
        yield conn
    except duckdb.Error as exc:
        if is_of_full_disk(str(exc)):
            raise full_disk(path, str(exc)) from exc
        raise
    finally:
        conn.close()


def full_disk(path: Path, message: str) -> WarehouseUnavailableError:
    """What a user is told of a disk that became full while the warehouse was written."""
    first_line = message.partition("\n")[0]
    return WarehouseUnavailableError(
        f"The disk that holds {path} is full ({first_line[:200]}): free some space and run again. "
        "What was committed stands, and the last release is served as it was."
    )


def require_idle(path: Path) -> None:
    """Nobody has the warehouse open; one that is missing or damaged is nobody's.

    Raises:
        WarehouseUnavailableError: Another process writes it.
    """
    try:
        if path.exists():
            duckdb.connect(str(path)).close()
    except duckdb.Error as exc:
        if _IN_USE.search(str(exc)):
            raise WarehouseUnavailableError(_why_it_did_not_open(path, str(exc))) from None


def replace_table(conn: duckdb.DuckDBPyConnection, schema: str, table: str, frame: pl.DataFrame) -> None:
    """The table holds exactly the frame's rows and columns; a table that stood there before is gone."""
    target = f"{quoted(schema)}.{quoted(table)}"
    conn.register("ordercast_replacement", frame.to_arrow())
    try:
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        conn.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT * FROM ordercast_replacement")
    finally:
        conn.unregister("ordercast_replacement")


def refill_table(conn: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    """One of `OWN_TABLES` holds exactly the frame's rows in its own columns; a column the frame lacks is null.

    On any failure the rows before stay.
    """
    conn.register("ordercast_replacement", frame.to_arrow())
    conn.begin()
    try:
        conn.execute(f"DELETE FROM {table}")
        conn.execute(f"INSERT INTO {table} BY NAME SELECT * FROM ordercast_replacement")
        conn.commit()
    except BaseException:
        conn.rollback()
        raise
    finally:
        conn.unregister("ordercast_replacement")


def run_context(conn: duckdb.DuckDBPyConnection) -> RunContext:
    """What the warehouse's last ingest reports about.

    Raises:
        SourceContractError: Nothing was ingested yet.
    """
    row = conn.execute(
        "SELECT run_id, as_of_date, reporting_time_zone, currency_code, merchant_name, origin FROM meta.run_context"
    ).fetchone()
    if row is None:
        raise SourceContractError("The warehouse holds no data yet: `ordercast run` ingests the operational store.")
    return RunContext(*row)


def quoted(identifier: str) -> str:
    """The identifier in SQL's double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def raw_columns(table: SourceTable) -> dict[str, str]:
    """Names and types of the columns of `raw.<table>`, in contract order."""
    return {field.warehouse_name: WAREHOUSE_TYPES[field.kind] for field in table.fields}


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as exc:
        if read_only or _DAMAGED_LOG not in str(exc):
            raise _did_not_open(path, str(exc)) from None
    log = path.with_name(f"{path.name}.wal")
    aside = log.replace(log.with_name(f"{log.name}.damaged"))
    LOG.warning("The log of the warehouse was damaged and lies at %s now; the warehouse goes on from its last checkpoint", aside)
    try:
        return duckdb.connect(str(path))
    except duckdb.Error as exc:
        raise _did_not_open(path, str(exc)) from None


def _did_not_open(path: Path, cause: str) -> WarehouseUnavailableError:
    return full_disk(path, cause) if is_of_full_disk(cause) else WarehouseUnavailableError(_why_it_did_not_open(path, cause))


def _create_tables(conn: duckdb.DuckDBPyConnection) -> None:
    for schema in SCHEMAS:
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    standing = _standing_columns(conn)
    for name, columns in OWN_TABLES.items():
        if name not in standing:
            conn.execute(f"CREATE TABLE {name} ({columns})")
        elif name.startswith("planning.") and standing[name] != [column.split()[0] for column in _COLUMN_ENDS.split(columns)]:
            # Of an earlier version: it held nothing but what each run computes anew.
            conn.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    for table in SOURCE_TABLES.values():
        wanted, name = raw_columns(table), f"raw.{table.name}"
        if standing.get(name) == list(wanted):
            continue
        if name in standing:  # made under another contract: everything is read again into the new shape
            conn.execute("DELETE FROM meta.feed_state")
        ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in wanted.items())
        conn.execute(f"CREATE OR REPLACE TABLE raw.{quoted(table.name)} ({ddl})")


def _standing_columns(conn: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Names of the columns by `schema.table`."""
    rows = conn.execute(
        "SELECT schema_name || '.' || table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE database_name = current_database() GROUP BY 1"
    ).fetchall()
    return dict(rows)


def _require_free_space(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    needed = max(LEAST_FREE_BYTES, path.stat().st_size if path.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise WarehouseUnavailableError(
            f"The disk that holds {path} has {free // 1024**2} MB free and a run needs {needed // 1024**2} MB: "
            "free some space and run again; nothing was changed."
        )


def _why_it_did_not_open(path: Path, message: str) -> str:
    if _IN_USE.search(message):
        holder = re.search(r"PID (\d+)", message)
        who = f"another process (PID {holder.group(1)})" if holder else "another connection"
        return f"The warehouse {path} is in use by {who}: let it end and run again."
    if _DAMAGED_LOG in message:
        return f"The log of the warehouse {path} is damaged: `ordercast run` goes on from its last checkpoint."
    first_line = message.partition("\n")[0]
    return (
        f"The warehouse {path} cannot be opened ({first_line}): put a backup in its place, or move the file away and run again. "
        "It is then rebuilt from the store, which does not know how stock stood on past days."
    )
