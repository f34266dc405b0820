"""What of Dagster's history and of the logs is kept, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml

from pipelines.cli.running import prepare_dagster_home
from pipelines.defs.resources import Platform
from pipelines.defs.upkeep import forget_old, upkeep
from pipelines.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "put back when the test is over")
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))
    chosen = Settings(history_days=30, log_days=30)
    prepare_dagster_home(chosen)
    return chosen


def _run(name: str, instance: dg.DagsterInstance) -> str:
    @dg.op
    def work() -> None:
        pass

    @dg.job(name=name)
    def whole() -> None:
        work()

    return whole.execute_in_process(instance=instance).run_id


@pytest.mark.parametrize(("days", "kept"), [(1, ["ordercast", "refresh"]), (3, ["ordercast"]), (31, [])])
def test_refreshes_go_after_two_days_and_other_runs_after_theirs(settings: Settings, days: int, kept: list[str]) -> None:
    with dg.DagsterInstance.get() as instance:
        files = {
            name: settings.resolved_home / "dagster" / "history" / "runs" / f"{_run(name, instance)}.db"
            for name in ("ordercast", "refresh")
        }

        forget_old(instance, settings, now=datetime.now(UTC) + timedelta(days=days))

        assert sorted(record.dagster_run.job_name for record in instance.get_run_records()) == kept
        assert sorted(name for name, file in files.items() if file.exists()) == kept


def test_more_refreshes_than_are_looked_up_at_once_go_all_and_the_hourly_runs_with_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.defs.upkeep.LOT", 2)
    with dg.DagsterInstance.get() as instance:
        for name in ("refresh", "refresh", "refresh", "refresh", "refresh", "upkeep", "ordercast"):
            _run(name, instance)

        counts = forget_old(instance, settings, now=datetime.now(UTC) + timedelta(days=3))

        assert counts["runs"] == 6
        assert [record.dagster_run.job_name for record in instance.get_run_records()] == ["ordercast"]


def test_when_its_time_is_over_the_oldest_are_gone_and_the_next_time_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("pipelines.defs.upkeep.time", SimpleNamespace(monotonic=lambda: 8.0 * next(ticks)))
    with dg.DagsterInstance.get() as instance:
        names = [_run("refresh", instance) for _ in range(3)]

        first = forget_old(instance, settings, now=datetime.now(UTC) + timedelta(days=3))
        left = [record.dagster_run.run_id for record in instance.get_run_records()]
        second = forget_old(instance, settings, now=datetime.now(UTC) + timedelta(days=3))

    assert (first["runs"], left, second["runs"]) == (2, names[2:], 1)


def test_a_run_that_has_not_ended_is_never_removed(settings: Settings) -> None:
    with dg.DagsterInstance.get() as instance:
        going = instance.create_run_for_job(upkeep)

        forget_old(instance, settings, now=datetime.now(UTC) + timedelta(days=400))

        assert [record.dagster_run.run_id for record in instance.get_run_records()] == [going.run_id]


def test_the_job_removes_old_logs_too(settings: Settings) -> None:
    settings.logs_path.mkdir()
    (settings.logs_path / "2020-01-01.jsonl").touch()

    with dg.DagsterInstance.get() as instance:
        result = upkeep.execute_in_process(instance=instance, resources={"platform": Platform()})

    assert result.success
    assert list(settings.logs_path.glob("*.jsonl")) == []


def test_dagster_keeps_its_history_in_postgresql_where_one_is_named(
    settings: Settings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_STORE_URL", "put back when the test is over")
    prepare_dagster_home(Settings(dagster_store_url=postgresql_url))

    with dg.DagsterInstance.get() as instance:
        run_id = _run("ordercast", instance)
        said = [entry.event_log_entry.message for entry in instance.get_records_for_run(run_id).records]

    assert 'Finished execution of step "work"' in " ".join(said)
    assert not (settings.resolved_home / "dagster" / "history" / "runs" / f"{run_id}.db").exists()
    assert "event_log_storage" not in yaml.safe_load((settings.resolved_home / "dagster" / "dagster.yaml").read_text())
