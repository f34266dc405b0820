"""The source tables as assets, each with its blocking quality check."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from pipelines.defs.automation import READ_FROM_THE_STORE
from pipelines.defs.reporting import announced
from pipelines.defs.resources import DAILY, RETRY, WAREHOUSE_POOL, Platform
from pipelines.errors import ContractError
from pipelines.steps.ingest import IngestResult, ingest
from pipelines.steps.ingest_reading import Comparing
from pipelines.steps.refresh import refresh_settings
from pipelines.stores.grants import INGEST
from pipelines.stores.source_contract import SOURCE_TABLES

_KEYS = {table: dg.AssetKey(["shop", table]) for table in SOURCE_TABLES}
_RUN_CONTEXT = dg.AssetKey(["meta", "run_context"])
_SOURCE_FIELDS = dg.AssetKey(["meta", "source_fields"])


class IngestConfig(dg.Config):
    """What a run may be told: to refresh figures beside the plans that stand, as of the same day."""

    is_refresh: bool = False


@dg.multi_asset(
    name="ingest",
    specs=[
        dg.AssetSpec(
            _KEYS[table.name],
            description=f"{table.description} Key: {', '.join(table.key)}.",
            group_name="ingest",
            kinds={"python", "duckdb"},
            metadata={"required fields": ", ".join(table.required_fields)},
            automation_condition=READ_FROM_THE_STORE,
        )
        for table in SOURCE_TABLES.values()
    ]
    + [
        dg.AssetSpec(
            key,
            description=description,
            group_name="ingest",
            kinds={"duckdb"},
            freshness_policy=DAILY,
            automation_condition=READ_FROM_THE_STORE,
        )
        for key, description in (
            (_RUN_CONTEXT, "The run's as-of date, zone and currency."),
            (_SOURCE_FIELDS, "Which contract fields the source provides."),
        )
    ],
    check_specs=[dg.AssetCheckSpec("expectations", asset=key, blocking=True) for key in _KEYS.values()],
    pool=WAREHOUSE_POOL,
    retry_policy=RETRY,
)
def shop(
    context: dg.AssetExecutionContext, config: IngestConfig, platform: Platform
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Everything that changed in the operational store since the last run, from one snapshot, in one transaction."""
    run_id = new_run_id(context.run_id)
    with announced("ingest", platform.settings()) as cost, platform.store(INGEST) as store, platform.warehouse() as conn:
        try:
            settings = refresh_settings(conn, platform.settings()) if config.is_refresh else platform.settings()
            comparing: Comparing = "what_no_feed_tells" if config.is_refresh else "when_due"
            result = ingest(store, conn, run_id=run_id, settings=settings, comparing=comparing)
        except ContractError as exc:
            raise dg.Failure(str(exc), allow_retries=False) from exc
    blocking = _blocking_tables(result)
    for table in result.tables:
        yield dg.MaterializeResult(
            asset_key=_KEYS[table.name],
            metadata={
                "rows_in": table.rows_in,
                "rows_loaded": table.rows_loaded,
                "rows_deleted": table.rows_deleted,
                "rows_quarantined": table.rows_quarantined,
                "rows_duplicate": table.rows_duplicate,
                "full_resync": result.is_full_resync,
            },
        )
        yield dg.AssetCheckResult(
            asset_key=_KEYS[table.name],
            check_name="expectations",
            passed=result.is_publishable or table.name not in blocking,
            metadata={"expectations": table.suite.expectations_count, "block_reason": result.block_reason or ""},
        )
    yield dg.MaterializeResult(
        asset_key=_RUN_CONTEXT, metadata={"run_id": run_id, "as_of": result.context.as_of_date.isoformat(), **cost.metadata()}
    )
    yield dg.MaterializeResult(asset_key=_SOURCE_FIELDS)


def new_run_id(dagster_run_id: str) -> str:
    """Names what a run ingests and publishes; it sorts by time, and its end says which of Dagster's runs it was."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{dagster_run_id[:6]}"


def _blocking_tables(result: IngestResult) -> set[str]:
    """The tables whose check keeps the run from publishing: those with a failed suite or with documents in quarantine."""
    troubled = {table.name for table in result.tables if not table.suite.passed or table.rows_quarantined}
    return troubled or {"orders"}
