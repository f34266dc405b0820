"""What Dagster starts by itself, and when: nothing that would publish half a run."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._utils.schedules import cron_string_iterator

from pipelines.cli.running import prepare_dagster_home
from pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*is currently in beta")  # what Dagster says of its own default sensor
BY_HAND = dg.AssetKey(["operational", "days_read_anew"])


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, while they are imported
        patch.setenv("ORDERCAST_HOME", str(tmp_path_factory.mktemp("home")))
        from pipelines.definitions import defs

        return defs


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_a_code_server_can_load_everything_that_dagster_is_to_know(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()

    repository.load_all_definitions()

    assert {"ordercast", "refresh", "backfill"} <= set(repository.job_names)


def test_each_asset_that_runs_by_itself_says_in_words_when(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    keys = graph.materializable_asset_keys
    labels = {key: condition.get_label() if (condition := graph.get(key).automation_condition) else None for key in keys}

    assert [key for key, label in labels.items() if not label] == [BY_HAND]
    assert all(" " in label for label in labels.values() if label)


def test_automation_asks_for_the_whole_run_at_its_hour_and_for_nothing_else(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    before = dg.evaluate_automation_conditions(defs, instance, evaluation_time=datetime(2026, 11, 23, 4, 29, tzinfo=UTC))

    at_its_hour = dg.evaluate_automation_conditions(
        defs, instance, cursor=before.cursor, evaluation_time=datetime(2026, 11, 23, 4, 31, tzinfo=UTC)
    )

    keys = defs.resolve_asset_graph().materializable_asset_keys
    assert before.total_requested == 0
    assert {key for key in keys if at_its_hour.get_num_requested(key)} == keys - {BY_HAND}


def test_automation_asks_for_nothing_because_a_refresh_brought_figures_up_to_date(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    before = dg.evaluate_automation_conditions(defs, instance, evaluation_time=datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    for key in (dg.AssetKey(["shop", "orders"]), dg.AssetKey(["marts", "fct_orders"]), dg.AssetKey(["release", "current"])):
        instance.report_runless_asset_event(dg.AssetMaterialization(key))

    after = dg.evaluate_automation_conditions(
        defs, instance, cursor=before.cursor, evaluation_time=datetime(2026, 11, 23, 10, 1, tzinfo=UTC)
    )

    assert after.total_requested == 0


def test_each_day_has_one_whole_run_and_sunday_tests_the_forecasts(defs: dg.Definitions) -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    days: dict[int, list[tuple[str, str]]] = {}
    for name in ("daily", "weekly_backtest"):
        ticks = cron_string_iterator(monday.timestamp(), str(defs.resolve_schedule_def(name).cron_schedule), "UTC")
        for at in takewhile(lambda at: at < monday + timedelta(days=7), ticks):
            days.setdefault(at.weekday(), []).append((name, f"{at:%H:%M}"))

    assert days == {weekday: [("daily", "04:30")] for weekday in range(6)} | {6: [("weekly_backtest", "04:30")]}


@pytest.fixture
def as_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster under the configuration that we ship."""
    monkeypatch.setenv("DAGSTER_HOME", "put back when the test is over")
    prepare_dagster_home(Settings(_env_file=None, home=tmp_path))  # type: ignore[call-arg]
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.mark.parametrize(
    ("job", "reason", "tags"),
    [
        ("ordercast", RunFailureReason.UNKNOWN, {"dagster/will_retry": "true", "dagster/retry_strategy": "ALL_STEPS"}),
        ("ordercast", RunFailureReason.STEP_FAILURE, {"dagster/will_retry": "false"}),
        ("refresh", RunFailureReason.UNKNOWN, {"dagster/will_retry": "false"}),
    ],
)
def test_a_whole_run_that_was_killed_is_repeated_from_its_first_step_and_what_a_step_failed_is_not(
    defs: dg.Definitions, as_deployed: dg.DagsterInstance, job: str, reason: RunFailureReason, tags: dict[str, str]
) -> None:
    chosen = defs.resolve_job_def(job)
    run = as_deployed.create_run_for_job(chosen, status=dg.DagsterRunStatus.STARTED, tags=chosen.run_tags)

    as_deployed.report_run_failed(run, "It is over.", JobFailureData(error=None, failure_reason=reason))

    ended = as_deployed.get_run_by_id(run.run_id)
    assert ended is not None
    assert tags.items() <= ended.tags.items()


def test_the_repeat_of_a_killed_run_is_not_repeated(defs: dg.Definitions, as_deployed: dg.DagsterInstance) -> None:
    whole = defs.resolve_job_def("ordercast")
    first = as_deployed.create_run_for_job(whole, status=dg.DagsterRunStatus.FAILURE, tags=whole.run_tags)
    repeat = as_deployed.create_run_for_job(
        whole, status=dg.DagsterRunStatus.STARTED, root_run_id=first.run_id, parent_run_id=first.run_id,
        tags={**whole.run_tags, "dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id},
    )  # fmt: skip

    as_deployed.report_run_failed(repeat)

    ended = as_deployed.get_run_by_id(repeat.run_id)
    assert ended is not None
    assert ended.tags["dagster/will_retry"] == "false"
