"""The newest day beside the weeks before it, on marts made by hand."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines.defs.compare_days import DAY_CHECKS, day_checks
from pipelines.defs.resources import Platform
from pipelines.settings import load_settings
from pipelines.steps.compare_days import compare_days
from pipelines.stores.run_logs import read_log
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from pipelines.quality.usual_days import DayCheck

AS_OF = date(2026, 10, 31)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten weeks of 200 orders a day with a line each, half of them from the web, and no other rows."""
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))
    with open_warehouse(load_settings().warehouse_path) as conn:
        conn.execute("INSERT INTO meta.run_context VALUES ('r1', ?, 'Europe/Berlin', 'EUR', 'Shop', 'test')", [AS_OF])
        conn.execute("CREATE SCHEMA IF NOT EXISTS marts")
        conn.execute(
            "CREATE TABLE marts.fct_orders AS SELECT d::DATE AS ordered_date, if(i % 2 = 0, 'web', 'store') AS channel_id, 'L1' AS location_id, "
            "'DE' AS ship_to_country, false AS is_test FROM range(?::DATE, ?::DATE, INTERVAL 1 DAY) days(d), range(200) numbers(i)",
            [AS_OF - timedelta(days=69), AS_OF + timedelta(days=1)],
        )
        conn.execute(
            "CREATE TABLE marts.fct_order_lines AS SELECT ordered_date, ordered_date AS shipped_date, 1 AS ordered_qty, 1999 AS net_amount, is_test "
            "FROM marts.fct_orders"
        )
        conn.execute("CREATE TABLE marts.fct_return_lines (created_date DATE, reason_code VARCHAR, is_test BOOLEAN)")
        conn.execute("CREATE TABLE marts.fct_purchase_receipts (received_date DATE)")
    return tmp_path


def _unusual(conn: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], DayCheck]:
    return {(check.subject, check.measure): check for check in compare_days(conn) if check.is_usual is False}


def test_a_day_like_the_others_is_usual_throughout(home: Path) -> None:
    with open_warehouse(load_settings().warehouse_path) as conn:
        assert _unusual(conn) == {}


def test_a_day_that_arrived_by_half_is_unusual_in_orders_and_in_what_hangs_on_them(home: Path) -> None:
    with open_warehouse(load_settings().warehouse_path) as conn:
        for mart in ("fct_orders", "fct_order_lines"):
            conn.execute(f"DELETE FROM marts.{mart} WHERE ordered_date = ? AND rowid % 5 < 3", [AS_OF])

        unusual = _unusual(conn)

        assert set(unusual) == {("orders", "rows"), ("order_lines", "rows"), ("shipped_lines", "rows")}
        assert unusual["orders", "rows"].value == 80


def test_prices_that_arrive_in_cents_instead_of_euros_are_unusual(home: Path) -> None:
    with open_warehouse(load_settings().warehouse_path) as conn:
        conn.execute("UPDATE marts.fct_order_lines SET net_amount = net_amount * 100 WHERE ordered_date = ?", [AS_OF])

        assert set(_unusual(conn)) == {("order_lines", "price_band")}


def test_a_channel_that_is_lost_is_unusual_and_kept_in_the_warehouse(home: Path) -> None:
    with open_warehouse(load_settings().warehouse_path) as conn:
        conn.execute("UPDATE marts.fct_orders SET channel_id = NULL WHERE ordered_date = ?", [AS_OF])

        unusual = _unusual(conn)

        kept = conn.execute("SELECT as_of_date, subject, measure FROM meta.day_checks WHERE NOT is_usual").fetchall()
        assert set(unusual) == {("orders", "channel_id")}
        assert kept == [(AS_OF, "orders", "channel_id")]


def test_dagster_is_warned_and_goes_on(home: Path) -> None:
    with open_warehouse(load_settings().warehouse_path) as conn:
        conn.execute("DELETE FROM marts.fct_orders WHERE ordered_date = ?", [AS_OF])

    with dg.DagsterInstance.ephemeral(tempdir=str(home)) as instance:
        result = dg.materialize([day_checks], resources={"platform": Platform()}, instance=instance)

    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    (event,) = result.get_asset_materialization_events()
    facts = {name: value.value for name, value in event.materialization.metadata.items()}
    assert result.success
    assert {name for name, check in checks.items() if not check.passed} == {"orders_rows"}
    assert checks["orders_rows"].severity == dg.AssetCheckSeverity.WARN
    assert event.asset_key == DAY_CHECKS
    assert (facts["orders_rows"], facts["order_lines_rows"]) == (0, 200)
    assert facts["step_seconds"] > 0
    assert 20 < facts["peak_memory_mb"] < 10_000


def test_the_log_of_the_home_folder_tells_the_run_and_what_the_step_took(home: Path) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(home)) as instance:
        result = dg.materialize([day_checks], resources={"platform": Platform()}, instance=instance)

    records = list(read_log(home / "logs", run_id=result.run_id))
    assert [record.get("state") for record in records] == ["started", None, "finished"]
    assert records[1]["message"] == "11 of 11 looks at 2026-10-31 as usual"
    assert records[2]["seconds"] > 0
