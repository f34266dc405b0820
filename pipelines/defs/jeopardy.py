"""Open orders in jeopardy as assets."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import DAILY, WAREHOUSE_POOL, Platform
from pipelines.steps.jeopardy import score_open_orders

ORDER_JEOPARDY = dg.AssetKey(["planning", "order_jeopardy"])
JEOPARDY_MODEL = dg.AssetKey(["planning", "order_jeopardy_model"])
JEOPARDY_SCORES = dg.AssetKey(["planning", "order_jeopardy_scores"])
JEOPARDY_CALIBRATION = dg.AssetKey(["planning", "order_jeopardy_calibration"])
_MARTS = ("fct_orders", "fct_order_lines", "fct_stock_daily", "fct_purchase_receipts", "dim_supplier_items")


@dg.multi_asset(
    name="jeopardy",
    specs=[
        dg.AssetSpec(
            key,
            deps=[dg.AssetKey(["marts", name]) for name in _MARTS],
            description=description,
            group_name="planning",
            kinds={"python", "polars"},
            freshness_policy=DAILY,
            automation_condition=PLANS,
        )
        for key, description in (
            (ORDER_JEOPARDY, "How likely each open order misses its promise, what keeps it, and who can do something about it."),
            (JEOPARDY_MODEL, "What the probabilities rest on, and why there are none where there are none."),
            (JEOPARDY_SCORES, "Precision, recall and lead time of past alerts by window, rule and threshold."),
            (JEOPARDY_CALIBRATION, "What was said of past orders beside what came of them."),
        )
    ],
    pool=WAREHOUSE_POOL,
)
def jeopardy(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Every open order gets the probability that it misses its promise."""
    with announced("jeopardy", platform.settings()) as cost, platform.warehouse() as conn:
        summary = score_open_orders(conn)
    for key in (ORDER_JEOPARDY, JEOPARDY_MODEL, JEOPARDY_SCORES, JEOPARDY_CALIBRATION):
        yield dg.MaterializeResult(asset_key=key, metadata=summary_metadata(summary) | cost.metadata())
