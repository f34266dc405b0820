"""What a policy rule sets changes the run's quantity as it says, and the recommendation names the rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.steps.backtest import backtest_forecasts
from pipelines.steps.forecast import forecast_demand
from pipelines.steps.panel import gather_panel
from pipelines.steps.recommend import recommend
from pipelines.steps.rule_policies import ruled_policies
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_planning_steps import SETTINGS, fill_marts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

DAY = date(2025, 7, 1)
RULE = PolicyRule("busy", 1, RuleScope(sku="busy"), RuleValues(service_level=0.9), date(2025, 1, 1), datetime(2025, 1, 1))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse that is forecast, sold in units of one."""
    with open_warehouse(tmp_path_factory.mktemp("rules") / "warehouse.duckdb") as conn:
        fill_marts(conn)
        conn.execute("CREATE TABLE marts.dim_product_classes AS SELECT sku, 'A' AS abc_class, 'X' AS xyz_class FROM marts.dim_products")
        conn.execute("ALTER TABLE marts.dim_products ADD COLUMN supplier_id VARCHAR")
        conn.execute("UPDATE marts.dim_supplier_items SET order_multiple = 1 WHERE sku = 'busy'")
        gather_panel(conn)
        backtest_forecasts(conn)
        forecast_demand(conn, settings=SETTINGS)
        yield conn


def ordered(conn: duckdb.DuckDBPyConnection, *values: RuleValues) -> dict[str, Any]:
    """The order of busy under these rules, with its steps before the raw quantity summed up as `steps_qty`."""
    rules = [replace(RULE, rule_id=f"rule{number}", values=one) for number, one in enumerate(values)]
    recommend(conn, settings=SETTINGS, rules=ruled_policies(conn, rules, on=DAY, settings=SETTINGS))
    rows = conn.sql("SELECT * FROM planning.recommendations WHERE kind = 'purchase' AND sku = 'busy'").pl().to_dicts()
    steps = conn.sql("SELECT * FROM planning.recommendation_steps ORDER BY step_number").pl()
    for row in rows:
        own = steps.filter(recommendation_key=row["recommendation_key"])
        before = own.head(own["step"].to_list().index("Raw quantity"))
        row |= {"steps_qty": before["qty"].sum(), "steps": before.select("step", "note").rows()}
    return rows[0] if rows else {}


def test_a_rule_s_critical_ratio_is_the_quantile_that_is_ordered(planned: duckdb.DuckDBPyConnection) -> None:
    low, high = (ordered(planned, RuleValues(critical_ratio=ratio)) for ratio in (0.55, 0.995))

    assert high["recommended_qty"] > low["recommended_qty"] > 0
    assert (low["steps_qty"], high["steps_qty"]) == (low["raw_qty"], high["raw_qty"])
    assert (low["policy_version"], high["policy_version"]) == ("rule0/1", "rule0/1")
    assert any("99.5 % is what the rule names." in note for _, note in high["steps"])


def test_a_rule_s_least_fill_rate_raises_the_order_and_is_a_step_of_its_own(planned: duckdb.DuckDBPyConnection) -> None:
    without = ordered(planned, RuleValues(critical_ratio=0.55))

    with_it = ordered(planned, RuleValues(critical_ratio=0.55), RuleValues(min_fill_rate=0.9999))

    assert with_it["recommended_qty"] > without["recommended_qty"]
    assert with_it["steps_qty"] == with_it["raw_qty"]
    assert "Least fill rate" in dict(with_it["steps"])
    assert with_it["policy_version"] == "rule0/1, rule1/1"


def test_a_least_fill_rate_has_no_effect_on_another_method_and_says_so(
    planned: duckdb.DuckDBPyConnection, caplog: pytest.LogCaptureFixture
) -> None:
    cover = RuleValues(method="days_of_cover", cover_days=60)

    row = ordered(planned, cover, RuleValues(min_fill_rate=0.9999))

    assert row["policy_version"] == "rule0/1"
    assert "min_fill_rate has no effect on 1 item: " in caplog.text


def test_a_rule_s_budget_is_all_that_its_items_may_cost(planned: duckdb.DuckDBPyConnection) -> None:
    free = ordered(planned)
    half = Decimal(free["recommended_qty"] // 2) * Decimal("10.50")

    row = ordered(planned, RuleValues(budget_amount=half, budget_currency_code="EUR"))

    assert 0 < row["recommended_qty"] * 10.5 <= float(half)
    assert (row["binding_constraint"], row["policy_version"]) == ("budget", "rule0/1")
    assert row["steps_qty"] == row["raw_qty"]


def test_a_rule_s_budget_in_another_currency_cuts_nothing(planned: duckdb.DuckDBPyConnection) -> None:
    free = ordered(planned)

    row = ordered(planned, RuleValues(budget_amount=Decimal(1), budget_currency_code="CHF"))

    notes = planned.sql("SELECT note FROM planning.recommendation_steps WHERE step = 'Budget'").fetchall()
    assert row["recommended_qty"] == free["recommended_qty"]
    assert notes == [("Not counted: the budget of rule rule0/1 is in CHF.",)]
