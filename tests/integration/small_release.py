"""A release of eight items whose marts are made by hand, for commands that plan with what a release holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.settings import Settings
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.panel import gather_panel
from pipelines.steps.planning_run import finish_planning
from pipelines.stores.policy_rules import row_of, write_rules
from pipelines.stores.releases import ReleaseFacts, publish
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_planning_steps import AS_OF, fill_marts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import duckdb

    from inventory.rules import PolicyRule
    from pipelines.stores.releases import Release


def fill_classes(conn: duckdb.DuckDBPyConnection) -> None:
    """Every item has a first supplier and the classes A and X, as rules ask for them."""
    conn.execute("ALTER TABLE marts.dim_products ADD COLUMN supplier_id VARCHAR DEFAULT 's1'")
    conn.execute("ALTER TABLE marts.dim_products ADD COLUMN IF NOT EXISTS unit_cost_amount BIGINT DEFAULT 100")
    conn.execute("CREATE TABLE marts.dim_product_classes AS SELECT sku, 'A' AS abc_class, 'X' AS xyz_class FROM marts.dim_products")


RUN_ID: Final = "20250701T060000-aaaaaa"


def publish_small_release(
    home: Path, *, rules: Sequence[PolicyRule] = (), arrange: Callable[[duckdb.DuckDBPyConnection], object] = lambda _: None
) -> Release:
    """The served release in `home`: forecast, recommended, published; "busy" has to be ordered from s1, or from s2.

    `arrange` is given the warehouse before anything is planned.
    """
    settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so
    home.mkdir(parents=True, exist_ok=True)
    with open_warehouse(home / "warehouse.duckdb") as conn:
        fill_marts(conn)
        fill_classes(conn)
        write_rules(conn, [row_of(rule) | {"reason": "A test", "author": "ann"} for rule in rules])
        conn.execute("UPDATE meta.run_context SET run_id = ?", [RUN_ID])
        arrange(conn)
        gather_panel(conn)
        backtest_forecasts(conn)
        forecast_demand(conn, settings=settings)
        finish_planning(conn, settings=settings)
        facts = ReleaseFacts(RUN_ID, AS_OF.isoformat(), "2025-07-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5, planning_run_id=RUN_ID)
        return publish(conn, settings.releases_path, facts=facts, catalogue="{}", keep=3)
