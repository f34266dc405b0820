"""What watches over runs: they stop, they succeed, they are missing."""

import dagster as dg

from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.steps.watch_runs import RunFailure, check, note_failure, note_success

WATCH_SECONDS = 300
COMMAND_LINE = {"ordercast/started_by": "command line"}  # runs that are tagged so note themselves how they went
_RUN_STEP = "run"  # where a run stopped that no step of it did


@dg.run_failure_sensor(
    name="run_failed",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A run that stopped is an exception at once, and the channel is told; also while the store is down.",
)
def run_failed(context: dg.RunFailureSensorContext) -> None:
    """The run's failure is noted under the step that stopped it."""
    run = context.dagster_run
    if run.tags.items() >= COMMAND_LINE.items():
        return
    events = context.get_step_failure_events()
    step, message = _RUN_STEP, context.failure_event.message
    if events:
        step = events[0].step_key or _RUN_STEP
        message = _innermost_message(events[0]) or message
    note_failure(load_settings(), RunFailure(run.job_name, step, str(message), run.run_id))
    later = _ended_later(context)
    if later and later.is_success:
        note_success(load_settings(), later.job_name, run_id=later.run_id)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="run_succeeded",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Failures of a job are over once a run of it succeeds.",
)
def run_succeeded(context: dg.RunStatusSensorContext) -> None:
    """The job's failures have recovered, where no later run of it has ended: that one tells how the job is now."""
    run = context.dagster_run
    if not run.tags.items() >= COMMAND_LINE.items() and _ended_later(context) is None:
        note_success(load_settings(), run.job_name, run_id=run.run_id)


@dg.sensor(
    name="what_is_late",
    minimum_interval_seconds=WATCH_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every five minutes: is the release late, is a run missing? Sends the day's digests, too.",
)
def what_is_late() -> dg.SkipReason:
    """What is late by the wall clock is an exception; no run is started for it."""
    try:
        done = check(load_settings())
    except UnavailableError as exc:
        return dg.SkipReason(f"The store did not answer, which is noted: {exc}")
    return dg.SkipReason(", ".join(f"{name} {count}" for name, count in done.items() if count) or "Nothing is late.")


def _ended_later(context: dg.RunStatusSensorContext) -> dg.DagsterRun | None:
    """The newest run of the job that has ended, where it began after the one that is looked at: sensors come to a run seconds late."""
    ended = dg.RunsFilter(job_name=context.dagster_run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])
    newest = next(iter(context.instance.get_runs(ended, limit=1)), None)
    return newest if newest and newest.run_id != context.dagster_run.run_id else None


def _innermost_message(event: dg.DagsterEvent) -> str | None:
    error = event.step_failure_data.error
    if error is None:
        return None
    while error.cause is not None:
        error = error.cause
    return error.message.strip()
