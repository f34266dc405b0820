"""Proposals in the operational store as an asset."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import PLANS
from pipelines.defs.publish import RELEASE
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import RETRY, WAREHOUSE_POOL, Platform
from pipelines.delivery.targets import open_target
from pipelines.errors import ReleaseError
from pipelines.steps.outcomes import measure_decisions
from pipelines.steps.write_back import write_back
from pipelines.stores.grants import RECOMMENDER
from pipelines.stores.releases import current_release

PROPOSALS = dg.AssetKey(["operational", "recommendation"])


@dg.multi_asset(
    name="write_back",
    specs=[
        dg.AssetSpec(
            PROPOSALS,
            deps=[RELEASE],
            description="Proposals in the operational store, each once; what a person decided is left alone.",
            group_name="write_back",
            kinds={"sql"},
            automation_condition=PLANS,
        )
    ],
    pool=WAREHOUSE_POOL,
    retry_policy=RETRY,
)
def proposals(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """The store holds the proposals of the served release."""
    served = current_release(platform.settings().releases_path)
    if served is None:
        raise ReleaseError("Nothing is published yet, so there is nothing to propose; materialize release/current first.")
    settings = platform.settings()
    with announced("write_back", platform.settings()) as cost, platform.store(RECOMMENDER) as store, platform.warehouse() as conn:
        counts = write_back(
            store,
            conn,
            release=served,
            draft_days=settings.draft_days,
            target=open_target(settings),
            attempts=settings.outbox_attempts,
        )
        measure_decisions(store, conn, settings=settings)
    yield dg.MaterializeResult(asset_key=PROPOSALS, metadata=summary_metadata(counts) | cost.metadata())
