"""Reorder recommendations as assets."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.forecast import BACKTEST_SCORES, FORECAST_DAILY
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import DAILY, WAREHOUSE_POOL, Platform
from pipelines.steps.planning_run import finish_planning

RECOMMENDATIONS = dg.AssetKey(["planning", "recommendations"])
STEPS = dg.AssetKey(["planning", "recommendation_steps"])
EXCLUSIONS = dg.AssetKey(["planning", "recommendation_exclusions"])
OUTLOOK = dg.AssetKey(["planning", "stock_outlook"])
CHOICES = dg.AssetKey(["planning", "order_choices"])
SILENT = dg.AssetKey(["planning", "silent_items"])
_MARTS = (
    "fct_demand_daily",
    "fct_stock_daily",
    "fct_promotion_days",
    "fct_inventory_position",
    "fct_inbound",
    "fct_open_order_lines",
    "fct_order_lines",
    "fct_supplier_lead_times",
    "dim_supplier_items",
    "dim_products",
    "dim_product_classes",
    "dim_locations",
)


@dg.multi_asset(
    name="recommend",
    specs=[
        dg.AssetSpec(
            key,
            deps=[FORECAST_DAILY, BACKTEST_SCORES, *(dg.AssetKey(["marts", name]) for name in _MARTS)],
            description=description,
            group_name="planning",
            kinds={"python", "polars"},
            freshness_policy=DAILY,
            automation_condition=PLANS,
        )
        for key, description in (
            (
                RECOMMENDATIONS,
                "What to order, and what to ask of orders that stand, with cost of ignoring and of accepting.",
            ),
            (STEPS, "The steps from demand to quantity, in order, for each recommendation."),
            (EXCLUSIONS, "Items that have no recommendation, and why."),
            (SILENT, "Every item at a location for which nothing is ordered, and why: what cannot be ordered, and what has enough."),
            (OUTLOOK, "Stock with and without each recommended order, as bands of simulated courses."),
            (CHOICES, "Other quantities of each recommended order: the chance that they are enough, holding cost, lost margin."),
        )
    ],
    pool=WAREHOUSE_POOL,
)
def recommendations(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Demand, stock, inbound and suppliers' terms become suggestions about stock."""
    with announced("recommend", platform.settings()) as cost, platform.warehouse() as conn:
        summary = finish_planning(conn, settings=platform.settings())
    for key in (RECOMMENDATIONS, STEPS, EXCLUSIONS, SILENT, OUTLOOK, CHOICES):
        yield dg.MaterializeResult(asset_key=key, metadata=summary_metadata(summary) | cost.metadata())
