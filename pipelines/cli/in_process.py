"""The whole job in this process, for the command line and tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipelines import errors
from pipelines.definitions import defs
from pipelines.defs.resources import Platform
from pipelines.defs.schedules import JOB_NAME, REFRESH_CONFIG, REFRESH_JOB_NAME
from pipelines.defs.upkeep import forget_old
from pipelines.defs.watch_runs import COMMAND_LINE
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster_shared.error import SerializableErrorInfo

_UNFINISHED: Final = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_RANGE_TAGS: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_REPEATED_BY_NOBODY: Final = {"dagster/max_retries": "0"}  # who called a command sees how it ended
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run went: counts and seconds per step, and what stopped it, if anything did."""

    run_id: str | None
    is_success: bool
    failed_step: str | None
    error: str | None
    is_retry_worthwhile: bool
    seconds: Mapping[str, float]
    counts: Mapping[str, Mapping[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """The outcome as plain values for JSON."""
        return asdict(self)


def execute(*, job_name: str = JOB_NAME, as_of: str | None = None, days: tuple[str, str] | None = None) -> RunOutcome:
    """Every asset of the job is materialised once, in this process, and the run stands in Dagster's history.

    The caller holds the home folder's run lock: a run of ours that Dagster believes to be going on has died.

    Args:
        job_name: One of the jobs of `defs.schedules`.
        as_of: ISO date that overrides the as-of setting.
        days: First and last day, ISO dates, of a job with a partition per day.
    """
    job = defs.resolve_job_def(job_name)
    config = _QUIET | (REFRESH_CONFIG if job_name == REFRESH_JOB_NAME else {})
    tags = COMMAND_LINE | _REPEATED_BY_NOBODY | (dict(zip(_RANGE_TAGS, days, strict=True)) if days else {})
    with dg.DagsterInstance.get() as instance:
        _bury_dead_runs(instance)
        result = job.execute_in_process(
            instance=instance, run_config=config, raise_on_error=False, tags=tags, resources={"platform": Platform(as_of=as_of)}
        )
        stats = instance.get_run_step_stats(result.run_id)
        forget_old(instance, load_settings())
    failed_step, error, retry = _failure(result)
    counts = _counts(result)
    return RunOutcome(
        run_id=next((str(facts["release_id"]) for facts in counts.values() if "release_id" in facts), None),
        is_success=result.success,
        failed_step=failed_step,
        error=error,
        is_retry_worthwhile=retry,
        seconds={step.step_key: round(step.end_time - step.start_time, 2) for step in stats if step.end_time and step.start_time},
        counts=counts,
    )


def _bury_dead_runs(instance: dg.DagsterInstance) -> None:
    """Runs of ours that were killed are failed in the history and give their place in the warehouse pool back.

    A dead run that kept its place would make the next one wait for ever.
    """
    for record in instance.get_run_records(dg.RunsFilter(tags=COMMAND_LINE, statuses=_UNFINISHED)):
        instance.report_run_failed(record.dagster_run, message="The process ended before the run did.")
        instance.event_log_storage.free_concurrency_slots_for_run(record.dagster_run.run_id)


def _counts(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Per step what its assets say: ingestion per table, models by status, the others as one summary."""
    counts: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        if event.step_key is None:
            continue
        materialization = event.step_materialization_data.materialization
        facts = {
            name: value.value
            for name, value in materialization.metadata.items()
            if not (name.startswith("dagster") or isinstance(value, dg.MarkdownMetadataValue))  # charts are for Dagster's pages
        }
        step = counts.setdefault(event.step_key, {})
        if event.step_key == "ingest":
            if materialization.asset_key.path[0] == "shop":
                step[materialization.asset_key.path[-1]] = facts
        elif event.step_key == "transform":
            step["models"] = step.get("models", 0) + 1
        else:
            step.update(facts)
    return counts


def _failure(result: dg.ExecuteInProcessResult) -> tuple[str | None, str | None, bool]:
    blocked = [
        str(evaluation.metadata["block_reason"].value) for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and "block_reason" in evaluation.metadata
    ]  # fmt: skip
    if blocked:
        return "ingest", f"{blocked[0]}. Nothing was published; the release before stays.", False
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        if error is not None:
            innermost = _innermost(error)
            kind = getattr(errors, innermost.cls_name or "", None)
            retry = isinstance(kind, type) and issubclass(kind, errors.UnavailableError)
            message = (
                innermost.message.strip().removeprefix(f"{innermost.cls_name}: ").split(": ", 1)[-1] if kind is None else innermost.message
            )
            return event.step_key, _plain(message, innermost.cls_name), retry
    return None, None, False


def _innermost(error: SerializableErrorInfo) -> SerializableErrorInfo:
    while error.cause is not None:
        error = error.cause
    return error


def _plain(message: str, cls_name: str | None) -> str:
    """The message without the exception's name, which the formatter puts before it."""
    text = message.strip()
    for prefix in (f"pipelines.errors.{cls_name}: ", f"{cls_name}: "):
        text = text.removeprefix(prefix)
    return text
