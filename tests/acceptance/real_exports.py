"""The two public data sets as a person brings them: imported and run once, for all that is asked of their stores and releases."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.settings import Settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release, open_release
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir() and "CI" not in os.environ, reason="the data sets are not here")

# Wide enough for every row of either export.
WHOLE = ("--from", "2009-01-01", "--to", "2018-12-31")
# What rests on tables or columns that neither export has.
UNKNOWN_TO_BOTH = {
    "aged_stock_rate", "aged_stock_value", "blocked_order_hold_p50_hours", "blocked_order_hold_p90_hours", "blocked_orders", "blocked_value",
    "blocked_value_lost", "blocked_value_released", "contractual_churn_28_days_rate", "contractual_churn_month_rate", "cycle_service_level",
    "days_of_supply", "dead_stock_rate", "dead_stock_value", "discount_rate", "dso_days", "exception_rate", "excess_stock_rate", "excess_stock_value", "exchange_share",
    "fulfilment_accuracy", "gmroi", "in_stock_rate", "inventory_turns", "invoice_to_cash_p50_days", "labour_cost", "labour_minutes_per_order",
    "lead_time_actual_p50_days", "lead_time_actual_p90_days", "lead_time_promised_mean_days", "lead_time_promised_p50_days",
    "order_cycle_time_net_mean_days", "order_cycle_time_net_p50_days", "order_cycle_time_net_p90_days",
    "order_stage_approve_to_release_mean_days", "order_to_cash_p50_days", "order_to_cash_p90_days", "order_to_invoice_p50_days",
    "overdue_receivables", "perfect_order_rate", "rebates_accrued", "receivables", "reconciliation_differences", "reconciliation_match_rate",
    "restock_value", "retained_revenue", "return_announced_to_received_mean_days", "return_cost_to_serve", "return_cycle_time_mean_days",
    "return_cycle_time_p50_days", "return_cycle_time_p90_days", "return_rate", "return_received_to_refunded_mean_days", "short_delivery_rate",
    "short_unit_rate", "stock_value", "supplier_on_time_rate", "touches_per_order", "touchless_rate",
}  # fmt: skip


@dataclass(frozen=True)
class Export:
    """What the commands said of one data set, and the home and store they filled.

    `metrics` are those of the last 28 days, `whole` those of all days.
    """

    ordercast: CommandLine
    store: OperationalStore
    report: dict[str, Any]
    run: dict[str, Any]
    metrics: dict[str, Any]
    whole: dict[str, Any]

    @property
    def settings(self) -> Settings:
        return Settings(home=self.ordercast.home)

    @contextmanager
    def release(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The served release."""
        served = current_release(self.settings.releases_path)
        assert served is not None
        with open_release(served) as conn:
            yield conn


@contextmanager
def imported_and_run(name: str, home: Path) -> Iterator[Export]:
    """The data set in a home of its own."""
    ordercast = CommandLine(home)
    report = ordercast.json("import", name, str(DATA / name))
    run = ordercast.json("run")
    latest, whole = ({value["name"]: value for value in ordercast.json("metrics", *period)} for period in ((), WHOLE))
    with OperationalStore.open(Settings(home=home).resolved_store_url) as store:
        yield Export(ordercast, store, report, run, latest, whole)


def unknown(values: dict[str, Any]) -> set[str]:
    """Names of the metrics that are not available; each says what it needs and shows no number at all."""
    found = {name: value for name, value in values.items() if value["status"] == "not_available"}
    for name, value in found.items():
        assert value["note"] == f"not available: needs {', '.join(value['needs_missing'])}", name
        assert [value[part] for part in ("value", "numerator", "denominator", "n", "prior", "last_year", "change")] == [None] * 7, name
    return set(found)


def zeros(values: dict[str, Any]) -> set[str]:
    return {name for name, value in values.items() if value["value"] == 0}


def _purchases(store: OperationalStore, conn: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Orders of known people up to the as-of day that were not cancelled and have a line, by local day."""
    row = conn.execute("select as_of_date, reporting_time_zone from meta.run_context").fetchone()
    assert row is not None
    has_cancelled = "cancelled_at" in store.present_fields()["orders"]
    orders = store.read_source("orders", ["order_id", "customer_id", "created_at", *(["cancelled_at"] if has_cancelled else [])])
    held_back = conn.sql("select distinct document_id as order_id from quarantine.document_rows where resolved_run_id is null").pl()
    local = pl.col("created_at").dt.replace_time_zone("UTC").dt.convert_time_zone(row[1]).dt.date()
    return (
        orders.filter(pl.col("customer_id").is_not_null(), pl.col("cancelled_at").is_null() if has_cancelled else pl.lit(value=True))
        .join(store.read_source("order_lines", ["order_id"]), on="order_id", how="semi")
        .join(held_back.cast(pl.String), on="order_id", how="anti")
        .with_columns(day=local)
        .filter(pl.col("day") <= row[0])
    )


def assert_people_equal_a_recount(export: Export) -> None:
    """People, their orders and the months of their first ones are those of the store."""
    with open_warehouse(export.settings.warehouse_path, read_only=True) as conn:
        bought = _purchases(export.store, conn)
        counts = bought.group_by("customer_id").agg(pl.len())["len"]
        first = bought.group_by("customer_id").agg(pl.col("day").min().dt.truncate("1mo"))
        people = conn.execute(
            "select count(first_order_date), sum(order_count), count(*) filter (where order_count > 1) from marts.dim_customers"
        ).fetchone()
        cohorts = conn.execute("select cohort_month, customer_count from marts.fct_cohorts_monthly where months_since_first = 0").fetchall()

    assert people == (counts.len(), counts.sum(), (counts > 1).sum())
    assert dict(cohorts) == dict(first.group_by("day").len().iter_rows())
