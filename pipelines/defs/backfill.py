"""Days read anew as an asset with a partition per day."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from pipelines.defs.ingest import new_run_id
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import WAREHOUSE_POOL, Platform
from pipelines.defs.transform import MANIFEST
from pipelines.errors import ContractError
from pipelines.quality.dated_documents import Days
from pipelines.settings import load_settings
from pipelines.steps.backfill import read_days_anew
from pipelines.stores.grants import INGEST

DAYS_READ_ANEW: Final = dg.AssetKey(["operational", "days_read_anew"])
_SETTINGS: Final = load_settings()
DAYS: Final = dg.DailyPartitionsDefinition(start_date=_SETTINGS.business_start.isoformat(), timezone=_SETTINGS.time_zone or "UTC")


@dg.multi_asset(
    name="read_days_anew",  # not as its job: Dagster serves nothing where an op has the name of a job
    specs=[
        dg.AssetSpec(
            DAYS_READ_ANEW,
            description="Documents of chosen days, held against the store, loaded again where they differ, and published.",
            group_name="backfill",
            kinds={"python", "duckdb"},
            partitions_def=DAYS,
        )
    ],
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),  # a month is one run: one snapshot of the store, one release
    pool=WAREHOUSE_POOL,
)
def days_read_anew(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """The chosen days are as the store has them, and a release holds the result."""
    chosen = [DAYS.time_window_for_partition_key(key).start.date() for key in context.partition_keys]
    days = Days(min(chosen), max(chosen))
    with announced("backfill", platform.settings()) as cost, platform.store(INGEST) as store:
        try:
            summary = read_days_anew(store, platform.settings(), days=days, run_id=new_run_id(context.run_id), manifest=MANIFEST)
        except ContractError as exc:
            raise dg.Failure(str(exc), allow_retries=False) from exc
    yield dg.MaterializeResult(asset_key=DAYS_READ_ANEW, metadata=summary_metadata(summary) | cost.metadata())
