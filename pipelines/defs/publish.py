"""The release as an asset."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import FIGURES
from pipelines.defs.compare_days import DAY_CHECKS
from pipelines.defs.customer_values import CUSTOMER_HOLDOUT, CUSTOMER_MODEL, CUSTOMER_SCORES
from pipelines.defs.forecast import BACKTEST_SCORES, FORECAST_DAILY
from pipelines.defs.jeopardy import JEOPARDY_CALIBRATION, JEOPARDY_MODEL, JEOPARDY_SCORES, ORDER_JEOPARDY
from pipelines.defs.recommend import EXCLUSIONS, OUTLOOK, RECOMMENDATIONS, STEPS
from pipelines.defs.reporting import announced
from pipelines.defs.resources import DAILY, WAREHOUSE_POOL, Platform
from pipelines.defs.transform import MANIFEST, SERVED_MARTS
from pipelines.steps.publish import publish_release
from pipelines.stores.warehouse import run_context

RELEASE = dg.AssetKey(["release", "current"])


@dg.multi_asset(
    name="publish",
    specs=[
        dg.AssetSpec(
            RELEASE,
            deps=[
                *(FORECAST_DAILY, BACKTEST_SCORES, RECOMMENDATIONS, STEPS, EXCLUSIONS, OUTLOOK),
                *(CUSTOMER_SCORES, CUSTOMER_MODEL, CUSTOMER_HOLDOUT),
                DAY_CHECKS,
                *(ORDER_JEOPARDY, JEOPARDY_MODEL, JEOPARDY_SCORES, JEOPARDY_CALIBRATION),
                *SERVED_MARTS,
            ],
            description="An immutable file of marts and plans that dashboards read, and the pointer that names it.",
            group_name="publish",
            kinds={"duckdb"},
            freshness_policy=DAILY,
            automation_condition=FIGURES,
        )
    ],
    pool=WAREHOUSE_POOL,
)
def release(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """Marts and plans stand in a new release, which the pointer names."""
    with announced("publish", platform.settings()) as cost, platform.warehouse() as conn:
        if not run_context(conn).run_id.endswith(context.run_id[:6]):
            raise dg.Failure("Another run has filled the warehouse meanwhile; run the whole job again.", allow_retries=False)
        published = publish_release(conn, settings=platform.settings(), manifest=MANIFEST)
    facts = published.as_dict()
    yield dg.MaterializeResult(
        asset_key=RELEASE,
        metadata=facts
        | cost.metadata()
        | {
            "row_counts": dg.MetadataValue.json(facts["row_counts"]),
            "rows": sum(published.row_counts.values()),
            "file_mb": round(published.path.stat().st_size / 1024**2, 1),
        },
    )
