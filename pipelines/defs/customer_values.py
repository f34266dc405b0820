"""Scores of customers as assets."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import WAREHOUSE_POOL, Platform
from pipelines.steps.customer_values import score_customers

CUSTOMER_SCORES = dg.AssetKey(["planning", "customer_scores"])
CUSTOMER_MODEL = dg.AssetKey(["planning", "customer_model"])
CUSTOMER_HOLDOUT = dg.AssetKey(["planning", "customer_holdout"])


@dg.multi_asset(
    name="customer_values",
    specs=[
        dg.AssetSpec(
            key,
            deps=[dg.AssetKey(["marts", "fct_customer_order_days"])],
            description=description,
            group_name="planning",
            kinds={"python", "polars"},
            automation_condition=PLANS,
        )
        for key, description in (
            (CUSTOMER_SCORES, "Who is still there, expected purchases and lifetime value, per status day and customer."),
            (CUSTOMER_MODEL, "The model behind the scores, its past error, and why there is none where there is none."),
            (CUSTOMER_HOLDOUT, "The model's past error by how often customers had bought."),
        )
    ],
    pool=WAREHOUSE_POOL,
)
def customer_values(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Every customer is scored by a model of how customers buy and leave."""
    with announced("customer_values", platform.settings()) as cost, platform.warehouse() as conn:
        summary = score_customers(conn)
    for key in (CUSTOMER_SCORES, CUSTOMER_MODEL, CUSTOMER_HOLDOUT):
        yield dg.MaterializeResult(asset_key=key, metadata=summary_metadata(summary) | cost.metadata())
