"""What a run planned with, as the warehouse and every release say it: its settings, its code, and which tables it read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import duckdb

TABLE: Final = "planning.planning_run"
COLUMNS: Final = (
    "run_id VARCHAR NOT NULL, as_of_date DATE NOT NULL, code_version VARCHAR NOT NULL, code_fingerprint VARCHAR NOT NULL, "
    "code VARCHAR NOT NULL, config_hash VARCHAR NOT NULL, settings VARCHAR NOT NULL"
)
# All that planning reads of what ingest and dbt made; a rebuild can read nothing else.
READ: Final = (
    "marts.dim_locations",
    "marts.dim_product_classes",
    "marts.dim_products",
    "marts.dim_supplier_items",
    "marts.fct_demand_daily",
    "marts.fct_inbound",
    "marts.fct_inventory_position",
    "marts.fct_open_order_lines",
    "marts.fct_order_lines",
    "marts.fct_promotion_days",
    "marts.fct_stock_daily",
    "marts.fct_supplier_lead_times",
    "meta.forecast_overrides",
    "meta.policy_rules",
    "meta.run_context",
    "meta.source_fields",
)
# The rows of history.forecasts that the checks of the forecasts read: the history itself goes on and is in no release.
RECENT_FORECASTS: Final = "planning.recent_forecasts"
# What a test of the forecasts leaves that later runs read, for as long as it stands.
EVIDENCE: Final = ("planning.backtest_run", "planning.backtest_series", "planning.backtest_weeks")


@dataclass(frozen=True, slots=True)
class PlanningRun:
    """The run whose plans stand.

    Attributes:
        run_id: Of the run that planned; a release of this id holds what it read.
        as_of_date: Last complete day that it knew.
        code_version: The version that planned.
        code_fingerprint: Twelve digits of its code and libraries.
        code: The same by part, such as inventory or polars.
        config_hash: Of `settings`.
        settings: Every setting that can change a number, as plain values without secrets.
    """

    run_id: str
    as_of_date: date
    code_version: str
    code_fingerprint: str
    code: Mapping[str, str]
    config_hash: str
    settings: Mapping[str, Any]


def forget_planning_run(conn: duckdb.DuckDBPyConnection) -> None:
    """No run's plans stand whole, because another one begins to plan."""
    conn.execute(f"DELETE FROM {TABLE}")


def record_planning_run(conn: duckdb.DuckDBPyConnection, run: PlanningRun) -> None:
    """The plans in the warehouse are those of this run, all of them."""
    forget_planning_run(conn)
    code, settings = (json.dumps(dict(values), sort_keys=True) for values in (run.code, run.settings))
    values = [run.run_id, run.as_of_date, run.code_version, run.code_fingerprint, code, run.config_hash, settings]
    conn.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def read_planning_run(conn: duckdb.DuckDBPyConnection) -> PlanningRun | None:
    """Whose plans stand; None where planning was not finished.

    Raises:
        duckdb.CatalogException: The release is from before this was kept.
    """
    row = conn.execute(f"SELECT run_id, as_of_date, code_version, code_fingerprint, code, config_hash, settings FROM {TABLE}").fetchone()
    if row is None:
        return None
    run_id, as_of_date, version, fingerprint, code, config_hash, settings = row
    return PlanningRun(run_id, as_of_date, version, fingerprint, json.loads(code), config_hash, json.loads(settings))
