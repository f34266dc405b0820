"""What is kept only for a while: Dagster's history of runs, and logs. Every ingest removes refused files and the feed's entries itself."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from pipelines.defs.resources import Platform
from pipelines.settings import Settings
from pipelines.stores.run_logs import remove_old_logs

OFTEN: Final = ("refresh", "upkeep")  # jobs with up to thousands of runs a day, and one with a run an hour
OFTEN_DAYS: Final = 2  # of those that ended well; a refresh leaves megabytes of events
LOT: Final = 100  # runs looked up at once
MOST_SECONDS: Final = 20.0  # nobody waits longer for it; the next hour goes on
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def forget_old(instance: dg.DagsterInstance, settings: Settings, *, now: datetime | None = None) -> dict[str, int]:
    """Runs and logs older than their days are gone, the oldest first and as far as the time goes; returns how many of each.

    A run that goes on is never removed. Refreshes that ended well go after two days, everything else after `history_days`.
    """
    moment, began = now or datetime.now(UTC), time.monotonic()
    well, often = [dg.DagsterRunStatus.SUCCESS], moment - timedelta(days=OFTEN_DAYS)
    chosen = [dg.RunsFilter(job_name=job, statuses=well, created_before=often) for job in OFTEN]
    chosen.append(dg.RunsFilter(statuses=_ENDED, created_before=moment - timedelta(days=settings.history_days)))
    count = 0
    for run_id in (run_id for one in chosen for run_id in _found(instance, one)):
        if time.monotonic() - began > MOST_SECONDS:
            break
        instance.delete_run(run_id)
        count += 1
    return {"runs": count, "logs": remove_old_logs(settings.logs_path, days=settings.log_days, now=moment)}


def _found(instance: dg.DagsterInstance, chosen: dg.RunsFilter) -> Iterator[str]:
    """Ids of these runs, the oldest first, until none is left: whoever asks for the next has removed the one before."""
    while lot := instance.get_run_records(chosen, limit=LOT, ascending=True):
        yield from (record.dagster_run.run_id for record in lot)


@dg.op
def forget(context: dg.OpExecutionContext, platform: Platform) -> None:
    """What is older than its days is gone."""
    counts = forget_old(context.instance, platform.settings())
    context.log.info("; ".join(f"{count} {name} removed" for name, count in counts.items()))


@dg.job(executor_def=dg.in_process_executor, description="Removes runs and logs older than the settings say.")
def upkeep() -> None:
    """What is kept only for a while."""
    forget()


hourly_upkeep = dg.ScheduleDefinition(
    name="hourly_upkeep", job=upkeep, cron_schedule="15 * * * *", description="Every hour, at 15 minutes past.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)  # fmt: skip
