"""A failed run is told of at once, also while the operational store is down; what is late is found without a run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import sqlalchemy as sa

from pipelines.alerts import rule_book
from pipelines.alerts.exceptions import DUE, Look, record_findings
from pipelines.alerts.findings import Finding
from pipelines.alerts.handling import Handling, handle
from pipelines.alerts.listing import list_exceptions
from pipelines.cli.app import main
from pipelines.decisions.roles import Operator, set_operator
from pipelines.defs import watch_runs as watching
from pipelines.errors import StoreUnavailableError
from pipelines.settings import Settings, load_settings
from pipelines.steps import watch_runs
from pipelines.steps.alerts import open_sight, raise_alerts
from pipelines.steps.watch_runs import RunFailure, check, note_failure, note_success
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import open_served
from pipelines.stores.waiting_failures import FILE, read_waiting
from tests.integration.decision_shop import rows_of
from tests.integration.small_release import publish_small_release

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 7)
HOUR = timedelta(hours=1)
FAILURE = RunFailure("ordercast", "ingest", "Table orders lost its column created_at.", "run-1")


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """A home folder, its store, and a folder `drop` as the channel."""
    (tmp_path / "drop").mkdir()
    return Settings(
        _env_file=None, home=tmp_path / "home", store_url=store_url, outbox_target="folder", outbox_folder=tmp_path / "drop",
        outbox_file_format="json",
    )  # type: ignore[call-arg]  # fmt: skip


def without_store(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"store_url": type(settings.store_url)(f"sqlite:///{tmp_path / 'gone.db'}")})  # type: ignore[misc]


def told(tmp_path: Path) -> list[tuple[str, str]]:
    """What the channel has, oldest first: what each message is, and about what."""
    found = [json.loads(file.read_text()) for file in (tmp_path / "drop").glob("*.json")]
    return [(one["type"], one["data"]["exceptions"][0]["title"]) for one in sorted(found, key=lambda one: (one["timestamp"], one["type"]))]


def opened(settings: Settings) -> list[dict[str, Any]]:
    with OperationalStore.open(settings.resolved_store_url) as store:
        return [row for row in rows_of(store, "exception") if row["resolved_at"] is None]


def test_the_same_failure_is_one_exception_told_once_until_the_job_succeeds(settings: Settings, tmp_path: Path) -> None:
    for number in range(3):
        note_failure(settings, RunFailure("ordercast", "ingest", f"Stopped, try {number}", f"run-{number}"), at=NOW + HOUR * number)
    (row,) = opened(settings)
    note_success(settings, "refresh", run_id="run-8", at=NOW + HOUR * 4)
    others = opened(settings)
    note_success(settings, "ordercast", run_id="run-9", at=NOW + HOUR * 5)

    assert (row["subject"], row["seen_count"], row["severity"]) == ("ordercast/ingest", 3, "critical")
    assert row["detail"] == "The run of ordercast stopped at ingest: Stopped, try 2"
    assert (len(others), opened(settings)) == (1, [])
    assert told(tmp_path) == [("alert.raised", "Run of ordercast, at ingest"), ("alert.resolved", "Run of ordercast, at ingest")]


def test_a_run_that_is_noted_twice_counts_once(settings: Settings) -> None:
    note_failure(settings, FAILURE, at=NOW)
    note_failure(settings, FAILURE, at=NOW + HOUR)

    assert [row["seen_count"] for row in opened(settings)] == [1]


def test_while_the_store_is_down_a_failure_is_kept_told_once_and_an_exception_afterwards(settings: Settings, tmp_path: Path) -> None:
    down = without_store(settings, tmp_path)
    for number in range(3):
        note_failure(down, RunFailure("ordercast", "store", "The store does not answer."), at=NOW + HOUR * number)
    (waiting,) = read_waiting(settings.resolved_home)
    during = told(tmp_path)

    check(settings, at=NOW + HOUR * 4)
    check(settings, at=NOW + HOUR * 5)

    (row,) = opened(settings)
    assert (waiting.count, waiting.is_told, during) == (3, True, [("alert.raised", "Run of ordercast, at store")])
    assert (row["exception_id"], row["seen_count"], row["opened_at"]) == (waiting.exception_id, 3, NOW)
    assert [kind for kind, _ in told(tmp_path) if kind != "alert.digest"] == ["alert.raised"]
    assert not (settings.resolved_home / FILE).exists()


def test_a_check_that_finds_the_store_down_says_so_and_recovers_with_it(settings: Settings, tmp_path: Path) -> None:
    down = without_store(settings, tmp_path)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            check(down, at=NOW)
    check(settings, at=NOW.replace(hour=3))

    assert opened(settings) == []
    assert sorted(told(tmp_path)) == [("alert.raised", "Run of check, at store"), ("alert.resolved", "Run of check, at store")]


def test_a_channel_that_is_down_too_keeps_the_failure_until_it_can_be_told(settings: Settings, tmp_path: Path) -> None:
    down = without_store(settings, tmp_path)
    (tmp_path / "drop").rmdir()
    note_failure(down, FAILURE, at=NOW)
    (tmp_path / "drop").mkdir()

    note_failure(down, FAILURE, at=NOW + HOUR)

    (waiting,) = read_waiting(settings.resolved_home)
    assert (waiting.count, waiting.is_told, len(told(tmp_path))) == (2, True, 1)


def test_a_process_that_dies_while_it_takes_failures_up_leaves_them_and_the_next_makes_no_second(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_failure(without_store(settings, tmp_path), FAILURE, at=NOW)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stores.waiting_failures.save_waiting", die)
        with pytest.raises(KeyboardInterrupt):
            check(settings, at=NOW + HOUR)
    check(settings, at=NOW + HOUR)

    assert [row["seen_count"] for row in opened(settings)] == [1]
    assert read_waiting(settings.resolved_home) == []


def test_a_file_that_somebody_broke_does_not_keep_the_next_failure_from_being_told(settings: Settings, tmp_path: Path) -> None:
    settings.resolved_home.mkdir()
    (settings.resolved_home / FILE).write_text('[{"subject": 3', encoding="utf-8")

    note_failure(without_store(settings, tmp_path), FAILURE, at=NOW)

    assert len(told(tmp_path)) == 1


def test_a_release_that_is_late_is_found_without_a_run_and_is_over_with_the_next_release(settings: Settings, tmp_path: Path) -> None:
    publish_small_release(settings.resolved_home)
    done = check(settings, at=NOW)
    again = check(settings, at=NOW + HOUR)
    with OperationalStore.open(settings.resolved_store_url) as store, open_served(settings.releases_path) as (release, conn):
        fresh = raise_alerts(store, open_sight(conn, release, at=datetime(2025, 7, 1, 7)), tells=False)

    assert (done["raised"], again["again"], fresh.recovered) == (1, 1, 1)
    assert "sales-unusual: not available: needs a metric net_sales_by_order_date, which the release does not know" in fresh.not_available
    assert any(line.startswith("order-jeopardy: not available: needs chances of open orders") for line in fresh.not_available)


@pytest.mark.parametrize("broken", ["*.duckdb", "CURRENT"])
def test_a_release_that_cannot_be_read_is_found_and_lets_nothing_else_recover(settings: Settings, broken: str) -> None:
    publish_small_release(settings.resolved_home)
    with OperationalStore.open(settings.resolved_store_url) as store:
        rule = rule_book.standing_rule(store, "data-late")
        behind = Finding(subject="forecasts", title="The forecasts", detail="They are behind.", link="demand")
        record_findings(store, rule, [behind], Look(look_id="a", at=NOW))
    (file,) = settings.releases_path.glob(broken)
    file.write_bytes(b"x" * 4096)

    done = check(settings, at=NOW + HOUR)

    rows = {row["subject"]: row["detail"] for row in opened(settings)}
    assert (done["raised"], done["recovered"], done["not_available"]) == (1, 0, [])
    assert rows.keys() == {"forecasts", "release"}
    assert rows["release"].startswith("No release can be read: ")


def test_an_item_that_runs_out_before_an_order_arrives_is_raised_from_the_release(settings: Settings) -> None:
    publish_small_release(settings.resolved_home)

    with OperationalStore.open(settings.resolved_store_url) as store, open_served(settings.releases_path) as (release, conn):
        first, second = (raise_alerts(store, open_sight(conn, release), tells=True) for _ in range(2))
        entries = list_exceptions(store, kind="stock_out", states=DUE)

    assert (first.raised, second.raised, second.again) == (first.raised, 0, first.raised)
    assert entries
    assert all(one.subject and one.subject.startswith("item:") and one.seen_count == 1 for one in entries)


def test_before_the_first_release_a_check_says_what_it_needs(settings: Settings) -> None:
    done = check(settings, at=NOW)

    assert done["raised"] == 0
    assert done["not_available"][0].startswith("data-late: not available: needs a release")


def test_a_run_that_stops_in_dagster_is_noted_by_its_sensor_and_one_of_the_command_line_notes_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[RunFailure] = []
    monkeypatch.setattr(watching, "load_settings", lambda: settings)
    monkeypatch.setattr(watching, "note_failure", lambda _, failure: noted.append(failure))

    @dg.op
    def ingest() -> None:
        raise StoreUnavailableError("The store does not answer.")

    @dg.job
    def refresh() -> None:
        ingest()

    for tags in ({}, watching.COMMAND_LINE):
        with dg.DagsterInstance.ephemeral() as instance:
            result = refresh.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
            event = next(one for one in result.all_events if one.event_type == dg.DagsterEventType.RUN_FAILURE)
            context = dg.build_run_status_sensor_context(
                sensor_name="run_failed", dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=event
            )
            watching.run_failed(context.for_run_failure())

    assert [(one.job, one.step) for one in noted] == [("refresh", "ingest")]
    assert "The store does not answer." in noted[0].message


@pytest.mark.parametrize(("fails", "noted"), [((False, True), []), ((True, False), ["second", "second"]), ((False, False), ["second"])])
def test_how_a_job_is_goes_by_its_last_run_however_late_the_sensors_look(
    monkeypatch: pytest.MonkeyPatch, fails: tuple[bool, bool], noted: list[str]
) -> None:
    found: list[str | None] = []
    monkeypatch.setattr(watching, "note_failure", lambda *_: None)
    monkeypatch.setattr(watching, "note_success", lambda _settings, _job, *, run_id: found.append(run_id))

    turns = iter(fails)

    @dg.op
    def ingest() -> None:
        if next(turns):
            raise StoreUnavailableError("The store does not answer.")

    @dg.job
    def refresh() -> None:
        ingest()

    with dg.DagsterInstance.ephemeral() as instance:
        runs = [refresh.execute_in_process(instance=instance, raise_on_error=False) for _ in fails]
        names = dict(zip((run.run_id for run in runs), ("first", "second"), strict=True))
        for run in runs:
            ended = {dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS}
            event = next(one for one in run.all_events if one.event_type in ended)
            context = dg.build_run_status_sensor_context(
                sensor_name="run", dagster_instance=instance, dagster_run=run.dagster_run, dagster_event=event
            )
            if run.success:
                watching.run_succeeded(context)
            else:
                watching.run_failed(context.for_run_failure())

    assert [names[one or ""] for one in found] == noted


def test_the_command_line_notes_a_run_that_cannot_reach_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drop").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": "home", "STORE_URL": "sqlite:////nowhere/store.db", "OUTBOX_TARGET": "folder", "OUTBOX_FOLDER": "drop",
                        "OUTBOX_FILE_FORMAT": "json"}.items():  # fmt: skip
        monkeypatch.setenv(f"ORDERCAST_{name}", value)
    monkeypatch.setattr(sys, "argv", ["ordercast", "run"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 4
    assert "nowhere" in capsys.readouterr().err
    assert told(tmp_path) == [("alert.raised", "Run of ordercast, at store")]
    assert [one.subject for one in read_waiting(load_settings().resolved_home)] == ["ordercast/store"]


def test_digests_are_sent_once_a_day_from_six_on(settings: Settings, tmp_path: Path) -> None:
    note_failure(settings, FAILURE, at=NOW)
    sent = [check(settings, at=at)["digests"] for at in (NOW.replace(hour=5), NOW, NOW + HOUR, NOW + HOUR * 24)]

    assert sent == [0, 1, 0, 1]
    assert watch_runs.utc_now() <= datetime.now(UTC).replace(tzinfo=None)


def test_digests_go_by_the_zone_that_schedules_go_by(settings: Settings, tmp_path: Path) -> None:
    tokyo = settings.model_copy(update={"time_zone": "Asia/Tokyo"})
    note_failure(tokyo, FAILURE, at=NOW - HOUR * 12)
    moments = [datetime(2026, 11, 22, 20), datetime(2026, 11, 22, 21), datetime(2026, 11, 23, 14), datetime(2026, 11, 23, 21)]

    sent = [check(tokyo, at=at)["digests"] for at in moments]

    days = {json.loads(file.read_text())["data"].get("digest_date") for file in (tmp_path / "drop").glob("*.json")}
    assert sent == [0, 1, 0, 1]
    assert days - {None} == {"2026-11-23", "2026-11-24"}


def test_the_store_keeps_working_for_decisions_when_a_failure_is_noted(settings: Settings) -> None:
    note_failure(settings, FAILURE, at=NOW)

    with OperationalStore.open(settings.resolved_store_url) as store, store.transaction() as conn:
        assert conn.execute(sa.text("SELECT count(*) FROM outbox WHERE rec_id IS NULL")).scalar() == 1


def test_a_success_is_told_at_once_whichever_of_several_rules_it_ends_an_exception_of(settings: Settings, tmp_path: Path) -> None:
    with OperationalStore.open(settings.resolved_store_url) as store:
        set_operator(store, Operator("ada", "admin"), by="ada")
        rule = rule_book.standing_rule(store, "run-failed")
        rule_book.write_version(store, replace(rule, rule_id="another"), is_new=True, reason="A second owner", actor="ada")
    note_failure(settings, FAILURE, at=NOW)
    with OperationalStore.open(settings.resolved_store_url) as store:
        (settled,) = (one for one in list_exceptions(store, at=NOW) if one.rule_id == "run-failed")
        handle(
            store,
            Handling(request_id="r", exception_id=settled.exception_id, action="resolve", actor="ada", resolution_code="fixed"),
            now=NOW,
        )

    note_success(settings, "ordercast", run_id="run-2", at=NOW + HOUR)

    assert [kind for kind, _ in told(tmp_path)].count("alert.resolved") == 2
