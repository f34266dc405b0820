"""What Dagster records of a run, in files that stay open between events."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from pipelines.defs.event_log import OpenSqliteEventLogStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOME = {"module": "pipelines.defs.event_log", "class": "OpenSqliteEventLogStorage"}


@dg.asset
def sales() -> int:
    return 1


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = {"event_log_storage": HOME | {"config": {"dagster_home": str(tmp_path)}}, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.from_config(write_config(tmp_path, overrides)) as opened:
        yield opened


def write_config(home: Path, config: dict[str, object]) -> str:
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(home)


def test_dagsters_own_storage_reads_every_event_of_a_run(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = dg.materialize([sales], instance=instance)

    ours = [entry.event_log_entry.message for entry in instance.get_records_for_run(result.run_id).records]
    stock = SqliteEventLogStorage(str(tmp_path / "history" / "runs"))
    assert len(ours) > 5
    assert [record.event_log_entry.message for record in stock.get_records_for_run(result.run_id).records] == ours
    assert stock.get_latest_materialization_events([dg.AssetKey("sales")])[dg.AssetKey("sales")] is not None


def test_a_page_that_watches_a_run_hears_of_its_events_while_the_files_are_open(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(dg.define_asset_job("nightly").resolve(asset_graph=dg.Definitions([sales]).resolve_asset_graph()))
    page = OpenSqliteEventLogStorage(str(tmp_path))
    heard: list[str] = []
    last = threading.Event()

    def hear(entry: dg.EventLogEntry, _: str) -> None:
        heard.append(entry.message)
        if entry.message == "second":
            last.set()

    instance.report_engine_event("before", run)
    page.watch(run.run_id, None, hear)

    instance.report_engine_event("first", run)
    instance.report_engine_event("second", run)

    assert last.wait(timeout=20)
    assert heard[-2:] == ["first", "second"]
    page.dispose()


def test_a_look_at_many_runs_leaves_few_files_open(instance: dg.DagsterInstance) -> None:
    runs = [dg.materialize([sales], instance=instance).run_id for _ in range(6)]

    for run_id in runs:
        assert instance.get_records_for_run(run_id).records

    storage = instance.event_log_storage
    assert isinstance(storage, OpenSqliteEventLogStorage)
    assert len(storage._engines) <= 4
