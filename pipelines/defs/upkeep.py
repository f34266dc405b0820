"""What is kept only for a while: Dagster's history of runs, and logs. Every ingest removes refused files and the feed's entries itself."""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from pipelines.defs.resources import Platform
from pipelines.settings import Settings
from pipelines.stores.run_logs import remove_old_logs

REFRESH: Final = "refresh"
REFRESH_DAYS: Final = 2  # of refreshes that ended well; there may be hundreds a day, each with megabytes of events
_AT_MOST: Final = 500  # in one go, so that nobody waits long for the first


def forget_old(instance: dg.DagsterInstance, settings: Settings, *, now: datetime | None = None) -> dict[str, int]:
    """Runs and logs older than their days are gone; returns how many of each.

    A run that goes on is never removed. Refreshes that ended well go after two days, everything else after `history_days`.
    """
    moment = now or datetime.now(UTC)
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    old = dg.RunsFilter(statuses=ended, created_before=moment - timedelta(days=settings.history_days))
    refreshed = dg.RunsFilter(
        job_name=REFRESH, statuses=[dg.DagsterRunStatus.SUCCESS], created_before=moment - timedelta(days=REFRESH_DAYS)
    )
    runs = {record.dagster_run.run_id for chosen in (old, refreshed) for record in instance.get_run_records(chosen, limit=_AT_MOST)}
    for run_id in runs:
        instance.delete_run(run_id)
    return {"runs": len(runs), "logs": remove_old_logs(settings.logs_path, days=settings.log_days, now=moment)}


@dg.op
def forget(context: dg.OpExecutionContext, platform: Platform) -> None:
    """What is older than its days is gone."""
    counts = forget_old(context.instance, platform.settings())
    context.log.info("; ".join(f"{count} {name} removed" for name, count in counts.items()))


@dg.job(executor_def=dg.in_process_executor, description="Removes runs and logs older than the settings say.")
def upkeep() -> None:
    """What is kept only for a while."""
    forget()


daily_upkeep = dg.ScheduleDefinition(
    name="daily_upkeep", job=upkeep, cron_schedule="15 3 * * *", description="Daily at 03:15 UTC.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)  # fmt: skip
