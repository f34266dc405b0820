"""The warehouse becomes a release that dashboards read."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.errors import ReleaseError
from pipelines.quality.warnings import note_derived
from pipelines.steps.code_version import code_version
from pipelines.steps.number_settings import config_hash
from pipelines.stores import releases
from pipelines.stores.check_results import tally_checks
from pipelines.stores.metrics import catalogue_from_manifest, catalogue_to_json
from pipelines.stores.planning_runs import read_planning_run
from pipelines.stores.reports import reports_from_manifest, reports_to_json
from pipelines.stores.standing_plans import plans_are_published, plans_differ, standing_plans
from pipelines.stores.warehouse import run_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import duckdb

    from pipelines.settings import Settings
    from pipelines.stores.standing_plans import StandingPlans
    from pipelines.stores.warehouse import RunContext

logger = logging.getLogger("ordercast.publish")


def publish_release(conn: duckdb.DuckDBPyConnection, *, settings: Settings, manifest: Mapping[str, Any]) -> releases.Release:
    """The marts and plans that stand in the warehouse stand in a new release, which the pointer names.

    Plans of an earlier run are published beside newer figures where they are whole and speak of the same day, zone, currency and
    definitions; the release then says whose they are.

    Args:
        conn: The open warehouse.
        settings: Where releases lie and how many are kept.
        manifest: dbt's manifest, parsed; the metrics and reports that the release carries come from it.

    Raises:
        ReleaseError: This run has published already, or the plans are not whole or do not fit the figures. Nothing was changed.
        WarehouseUnavailableError: The disk is full. The release before stays.
    """
    context, code = run_context(conn), code_version()
    earlier = _earlier_plans(conn, context)
    planning = earlier or read_planning_run(conn)
    note_derived(conn)
    passed, total = tally_checks(conn)
    facts = releases.ReleaseFacts(
        release_id=context.run_id,
        as_of_date=context.as_of_date.isoformat(),
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code.version,
        config_hash=config_hash(settings),
        seed=settings.seed,
        checks_passed=passed,
        checks_total=total,
        code_fingerprint=code.fingerprint,
        planning_run_id=planning.run_id if planning else None,
        planned_at=earlier.published_at.replace(tzinfo=UTC).isoformat(timespec="seconds") if earlier and earlier.published_at else None,
    )
    catalogue = catalogue_to_json(catalogue_from_manifest(manifest))
    reports = reports_to_json(reports_from_manifest(manifest))
    release = releases.publish(
        conn, settings.releases_path, facts=facts, catalogue=catalogue, reports=reports,
        keep=settings.releases_kept, keep_days=settings.release_days_kept,
    )  # fmt: skip
    if earlier is None:
        plans_are_published(conn)
    logger.info(
        "release %s: %d tables, %s rows",
        release.release_id,
        len(release.row_counts),
        f"{sum(release.row_counts.values()):,}",
    )
    return release


def _earlier_plans(conn: duckdb.DuckDBPyConnection, context: RunContext) -> StandingPlans | None:
    """The plans in the warehouse, where an earlier run made them; None where this run did.

    Raises:
        ReleaseError: They are not whole, or of another day, zone, currency or definition than the figures.
    """
    plans = standing_plans(conn)
    if plans is None or plans.run_id == context.run_id:
        return None
    if plans.published_at is None:
        raise ReleaseError(f"Nothing was published: run {plans.run_id} began to plan and did not end; `ordercast run` plans anew.")
    if changed := plans_differ(conn, plans):
        raise ReleaseError(f"Nothing was published: since the plans of run {plans.run_id}, {changed}; `ordercast run` plans anew.")
    return plans
