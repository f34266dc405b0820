"""Alerts as an asset after each release."""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.automation import FIGURES
from pipelines.defs.publish import RELEASE
from pipelines.defs.reporting import announced, summary_metadata
from pipelines.defs.resources import Platform
from pipelines.delivery.outbox import deliver
from pipelines.delivery.targets import open_target
from pipelines.steps.alerts import open_sight, raise_alerts
from pipelines.stores.grants import RECOMMENDER
from pipelines.stores.releases import open_served

ALERTS = dg.AssetKey(["operational", "exception"])


@dg.multi_asset(
    name="alerts",
    specs=[
        dg.AssetSpec(
            ALERTS,
            deps=[RELEASE],
            description="Exceptions that rules raise by the served release, each once, and what has recovered.",
            group_name="publish",
            kinds={"sql"},
            automation_condition=FIGURES,
        )
    ],
)
def raised(platform: Platform) -> Iterator[dg.MaterializeResult[None]]:
    """The store holds the exceptions of the served release; a channel that is down keeps nothing waiting but its messages."""
    settings = platform.settings()
    target, releases = open_target(settings), settings.releases_path
    with (
        announced("alerts", settings) as cost,
        platform.store(RECOMMENDER) as store,
        open_served(releases) as (release, conn),
    ):
        summary = raise_alerts(store, open_sight(conn, release), tells=target is not None)
        if target is not None:
            deliver(store, target, attempts=settings.outbox_attempts)
    yield dg.MaterializeResult(asset_key=ALERTS, metadata=summary_metadata(summary) | cost.metadata())
