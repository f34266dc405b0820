"""Forecasts and their evidence as assets."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import WAREHOUSE_POOL, Platform
from pipelines.steps.forecast import forecast_demand

FORECAST_DAILY = dg.AssetKey(["planning", "forecast_daily"])
BACKTEST_SCORES = dg.AssetKey(["planning", "backtest_scores"])


@dg.multi_asset(
    name="forecast",
    specs=[
        dg.AssetSpec(
            key,
            deps=[dg.AssetKey(["marts", name]) for name in ("fct_demand_daily", "fct_stock_daily", "dim_products")],
            description=description,
            group_name="planning",
            kinds={"python", "polars"},
        )
        for key, description in (
            (FORECAST_DAILY, "Daily demand forecast per item and location, with its 10 %, 50 % and 90 % quantiles."),
            (BACKTEST_SCORES, "What the forecast would have scored on past cut-offs, beside seasonal naive."),
        )
    ],
    pool=WAREHOUSE_POOL,
)
def forecast(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Demand is forecast and back-tested per item and location."""
    with announced("forecast"), platform.warehouse() as conn:
        summary = forecast_demand(conn, settings=platform.settings())
    for key in (FORECAST_DAILY, BACKTEST_SCORES):
        yield dg.MaterializeResult(asset_key=key, metadata=summary_metadata(summary))
