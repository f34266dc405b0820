"""A release of eight items whose marts are made by hand, for commands that plan with what a release holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.settings import Settings
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.panel import gather_panel
from pipelines.steps.recommend import recommend
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_planning_steps import AS_OF, fill_marts

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.releases import Release


def publish_small_release(home: Path) -> Release:
    """The served release in `home`: forecast, recommended, published; "busy" has to be ordered from s1, or from s2."""
    settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so
    home.mkdir(parents=True, exist_ok=True)
    with open_warehouse(home / "warehouse.duckdb") as conn:
        fill_marts(conn)
        gather_panel(conn)
        backtest_forecasts(conn)
        forecast_demand(conn, settings=settings)
        recommend(conn, settings=settings)
        facts = ReleaseFacts("20250701T060000-aaaaaa", AS_OF.isoformat(), "2025-07-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
        return publish(conn, settings.releases_path, facts=facts, catalogue="{}", keep=3)
