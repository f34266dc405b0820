"""A refresh whenever the shop has changed."""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

from pipelines.defs.schedules import BACKFILL_JOB_NAME, IS_ON, JOB_NAME, REFRESH_JOB_NAME, refresh
from pipelines.defs.watch_runs import COMMAND_LINE
from pipelines.errors import OrdercastError
from pipelines.settings import Settings, load_settings
from pipelines.stores.feed_mark import read_mark, waiting_changes
from pipelines.stores.grants import INGEST
from pipelines.stores.operational import OperationalStore
from pipelines.stores.release_files import gone_back_to
from pipelines.stores.run_lock import is_run_locked

LOOK_SECONDS: Final = 5
REST_SECONDS: Final = 300  # after a run that failed: what was wrong may need a person
_GOING_ON: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    name="changes",
    job=refresh,
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING if IS_ON else dg.DefaultSensorStatus.STOPPED,
    description=f"Looks at the change feed every {LOOK_SECONDS} seconds and asks for a refresh where something has changed, one at a time.",
)
def changes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """What the feed holds past the warehouse's position asks for one refresh; while any run goes on, changes gather for the next.

    So does a last run that did not succeed, once it has rested: the position may be past what is published.
    """
    settings = load_settings()
    if not settings.warehouse_path.exists():
        return dg.SkipReason("No run has filled the warehouse yet: start the job ordercast once, refreshes go on from there.")
    last = _last_run(context.instance)
    if why := _why_not_now(context.instance, settings, last):
        return dg.SkipReason(why)
    try:
        with OperationalStore.open(settings.resolved_store_url, role=INGEST, is_read_only=True) as store:
            waiting = waiting_changes(store, read_mark(settings.resolved_home))
    except OrdercastError as exc:
        return dg.SkipReason(f"The operational store could not be looked at: {exc}")
    if waiting is None and (last is None or _is_well(last)):
        return dg.SkipReason("Nothing has changed in the operational store since the last run.")
    # Dagster grants each key once: the same changes are asked for again only after another run has ended.
    after = last.dagster_run.run_id if last else "nothing"
    run_key = f"{waiting.newest if waiting else 'what was read'} after {after}"
    tags = {"ordercast/changes": str(waiting.count if waiting else 0)}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, tags=tags)])


def _why_not_now(instance: dg.DagsterInstance, settings: Settings, last: dg.RunRecord | None) -> str | None:
    """Why nothing is asked for now, whatever has changed, in words; None where it may be."""
    if busy := _run_going_on(instance, settings):
        return busy
    if older := gone_back_to(settings.releases_path):
        return (
            f"Somebody went back to the release {older}: a refresh would publish over it. "
            "The next whole run does, and `ordercast releases rollback NEWEST` lets refreshes go on."
        )
    if last is None or _is_well(last):
        return None
    run = last.dagster_run
    if run.tags.get("dagster/will_retry") == "true" and "dagster/auto_retry_run_id" not in run.tags:
        return f"A run of the job {run.job_name} was killed and is about to be repeated."
    if (left := REST_SECONDS - (time.time() - (last.end_time or 0.0))) > 0:
        return f"The last {run.job_name} did not succeed (run {run.run_id[:8]} says why); the next try is in {left:.0f} s."
    return None


def _run_going_on(instance: dg.DagsterInstance, settings: Settings) -> str | None:
    """Which run goes on, in words; None where none does.

    A run of the command line that was killed still counts as going on in Dagster's history; the lock on the home folder knows better.
    """
    if is_run_locked(settings.resolved_home):
        return "A run of the command line is at work; what changes meanwhile is looked at after it."
    for run in instance.get_runs(dg.RunsFilter(statuses=_GOING_ON), limit=100):
        if not COMMAND_LINE.items() <= run.tags.items():
            return f"A run of the job {run.job_name} is going on; what changes meanwhile is looked at after it."
    return None


def _last_run(instance: dg.DagsterInstance) -> dg.RunRecord | None:
    """The newest run of the jobs that read and publish; where it did not succeed, what it read may be in no release."""
    jobs = (JOB_NAME, REFRESH_JOB_NAME, BACKFILL_JOB_NAME)
    found = [record for job in jobs for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)]
    return max(found, key=lambda record: record.storage_id, default=None)


def _is_well(record: dg.RunRecord) -> bool:
    return record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
