"""Panel, backtest and forecast as Dagster runs them, on marts made by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipelines.defs.forecast import BACKTEST_WEEKS, CHECKS, DEMAND_SERIES, FORECAST_DAILY, backtest, forecast, panel
from pipelines.defs.recommend import RECOMMENDATIONS, recommendations
from pipelines.defs.resources import Platform
from pipelines.settings import load_settings
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_planning_steps import AS_OF, fill_marts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))
    with open_warehouse(load_settings().warehouse_path) as conn:
        fill_marts(conn)
    return tmp_path


def _run(home: Path) -> dg.ExecuteInProcessResult:
    assets = [panel, backtest, forecast, recommendations]
    with dg.DagsterInstance.ephemeral(tempdir=str(home)) as instance:
        return dg.materialize(assets, resources={"platform": Platform()}, instance=instance)


def _metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, object]:
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def _passed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_rows_seconds_and_scores_are_metadata_that_dagster_draws(home: Path) -> None:
    result = _run(home)

    gathered, tested, forecasts = (_metadata(result, key) for key in (DEMAND_SERIES, BACKTEST_WEEKS, FORECAST_DAILY))
    assert gathered["dagster/row_count"] == 7
    assert tested["dagster/row_count"] == 6 * 6 * 4
    assert forecasts["dagster/row_count"] == 6 * 28
    assert all(isinstance(facts["seconds"], float) for facts in (gathered, tested, forecasts))
    assert 0 < float(str(tested["wape_rate"])) < float(str(tested["naive_wape_rate"]))
    assert "WAPE by window, oldest first: " in str(tested["chart"])
    assert "p10-p90 held by window: " in str(tested["chart"])
    assert _passed(result) == {"bias_drift": True, "coverage_drift": True, "fallback_share": True}


def test_a_forecast_that_broke_fails_its_check_and_nothing_is_suggested(home: Path) -> None:
    _run(home)
    with open_warehouse(load_settings().warehouse_path) as conn:
        conn.execute("DELETE FROM history.forecasts")
        conn.execute(
            "INSERT INTO history.forecasts SELECT ?, sku, location_id, demand_date - 14, 3 * statistical_mean_qty, demand_p10_qty, "
            "demand_p90_qty FROM planning.forecast_daily WHERE demand_date <= ?",
            [AS_OF - timedelta(days=14), AS_OF + timedelta(days=14)],
        )

    result = _run(home)

    assert result.success
    assert _passed(result) == {"bias_drift": False, "coverage_drift": True, "fallback_share": True}
    (broken,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    assert str(broken.metadata["reason"].value).startswith("Forecasts were")
    assert _metadata(result, RECOMMENDATIONS)["withheld_reason"] == f"{broken.metadata['reason'].value}."
    assert _metadata(result, RECOMMENDATIONS)["recommended_count"] == 0


def test_suggestions_stand_after_the_forecasts_that_are_judged() -> None:
    graph = dg.Definitions(assets=[panel, backtest, forecast, recommendations], resources={"platform": Platform()}).resolve_asset_graph()

    assert FORECAST_DAILY in graph.get(RECOMMENDATIONS).parent_keys
    assert BACKTEST_WEEKS in graph.get(FORECAST_DAILY).parent_keys
    assert DEMAND_SERIES in graph.get(BACKTEST_WEEKS).parent_keys
    assert {key.name for key in graph.asset_check_keys if key.asset_key == FORECAST_DAILY} == set(CHECKS)
