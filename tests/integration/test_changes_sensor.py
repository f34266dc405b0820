"""The sensor on the change feed: one refresh for what changed, none while a run goes on, and another try after a rest."""

from __future__ import annotations

import fcntl
import warnings
from typing import TYPE_CHECKING

import dagster as dg
import pytest
import sqlalchemy as sa

from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import begin_epoch, install_feed
from pipelines.stores.feed_mark import MARK, read_mark, waiting_changes
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.release_files import complete_ids, rollback, served_id
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_reconcile import FIELDS, fill
from tests.integration.test_releases import publish_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> dg.SensorDefinition:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, while they are imported
        patch.setenv("ORDERCAST_HOME", str(tmp_path_factory.mktemp("home")))
        from pipelines.defs.sensors import changes

        return changes


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def home(store: OperationalStore, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop of five orders, all ingested, as settings name it."""
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    store.create_source_tables(FIELDS)
    fill(store)
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    read(store, tmp_path / "home", "run-1")
    return tmp_path / "home"


def read(store: OperationalStore, home: Path, run_id: str) -> None:
    settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id=run_id, settings=settings)


def change(store: OperationalStore, title: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text("UPDATE products SET title = :title"), {"title": title})


def look(changes: dg.SensorDefinition, instance: dg.DagsterInstance) -> tuple[list[str | None], str | None]:
    """The keys of what the sensor asks for, or why it asks for nothing."""
    said = changes.evaluate_tick(dg.build_sensor_context(instance=instance))
    return [request.run_key for request in said.run_requests or ()], said.skip_message


def record_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job: str = "refresh", **tags: str) -> str:
    run = instance.create_run_for_job(
        dg.define_asset_job(job).resolve(asset_graph=dg.Definitions([_asset]).resolve_asset_graph()), status=status, tags=tags
    )
    if status == dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run)
    return run.run_id


def grant(changes: dg.SensorDefinition, instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> bool:
    """Whether Dagster's daemon would start what the sensor asks for: it drops a key that any run has. The run then ends like this."""
    (key,), _ = look(changes, instance)
    assert key is not None
    is_new = not instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": key}))
    record_run(instance, status, **{"dagster/run_key": key})
    return is_new


@dg.asset
def _asset() -> None: ...


def test_what_changed_is_asked_for_once_until_it_is_read(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    quiet = look(changes, instance)
    change(store, "Cup")
    first, again = look(changes, instance), look(changes, instance)
    change(store, "Mug")
    more = look(changes, instance)
    read(store, home, "run-2")
    after = look(changes, instance)

    assert quiet == after == ([], "Nothing has changed in the operational store since the last run.")
    assert len(first[0]) == 1
    assert again == first
    assert more[0] != first[0]


def test_nothing_is_asked_for_while_a_run_goes_on(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    change(store, "Cup")
    record_run(instance, dg.DagsterRunStatus.STARTED)

    asked, why = look(changes, instance)

    assert asked == []
    assert why == "A run of the job refresh is going on; what changes meanwhile is looked at after it."


def test_a_command_that_was_killed_holds_up_nothing_and_one_that_works_does(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    change(store, "Cup")
    record_run(instance, dg.DagsterRunStatus.STARTED, **{"ordercast/started_by": "command line"})
    with (home / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        while_it_works = look(changes, instance)

    after_it_was_killed = look(changes, instance)

    assert while_it_works == ([], "A run of the command line is at work; what changes meanwhile is looked at after it.")
    assert len(after_it_was_killed[0]) == 1


def test_after_a_refresh_that_failed_it_rests_and_then_asks_again(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, "Cup")
    before = look(changes, instance)
    failed = record_run(instance, dg.DagsterRunStatus.FAILURE)
    resting = look(changes, instance)
    monkeypatch.setattr("pipelines.defs.sensors.REST_SECONDS", 0)

    rested = look(changes, instance)

    assert resting[0] == []
    assert str(resting[1]).startswith(f"The last refresh did not succeed (run {failed[:8]} says why); the next try is in ")
    assert str(before[0][0]).endswith(" after nothing")
    assert rested[0] == [str(before[0][0]).replace("nothing", failed)]


def test_what_was_read_by_a_refresh_that_failed_later_is_asked_for_until_a_run_succeeds(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.op
    def fails_after_it_has_read() -> None:
        read(store, home, "run-2")
        raise RuntimeError("while the models are built")

    @dg.job(name="refresh")
    def failing_refresh() -> None:
        fails_after_it_has_read()

    change(store, "Cup")
    failed = failing_refresh.execute_in_process(instance=instance, raise_on_error=False).run_id
    resting = look(changes, instance)
    monkeypatch.setattr("pipelines.defs.sensors.REST_SECONDS", 0)
    rested = look(changes, instance)
    record_run(instance, dg.DagsterRunStatus.SUCCESS, "ordercast")

    after_a_whole_run = look(changes, instance)

    assert resting[0] == []
    assert rested[0] == [f"what was read after {failed}"]
    assert after_a_whole_run == ([], "Nothing has changed in the operational store since the last run.")


def test_a_refresh_that_was_cancelled_is_granted_again(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.defs.sensors.REST_SECONDS", 0)
    change(store, "Cup")

    granted = [grant(changes, instance, dg.DagsterRunStatus.CANCELED) for _ in range(3)]

    assert granted == [True, True, True]


def test_a_mark_that_is_lost_twice_is_granted_a_refresh_each_time(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    granted = []
    for run_id in ("run-2", "run-3"):
        (home / MARK).unlink()
        granted.append(grant(changes, instance, dg.DagsterRunStatus.SUCCESS))
        read(store, home, run_id)

    assert granted == [True, True]
    assert look(changes, instance)[0] == []


def test_while_a_killed_run_is_about_to_be_repeated_nothing_is_asked_for(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.defs.sensors.REST_SECONDS", 0)
    change(store, "Cup")
    killed = record_run(instance, dg.DagsterRunStatus.FAILURE, "ordercast", **{"dagster/will_retry": "true"})
    about_to_be = look(changes, instance)
    instance.add_run_tags(killed, {"dagster/auto_retry_run_id": "another"})

    after_it_was = look(changes, instance)

    assert about_to_be == ([], "A run of the job ordercast was killed and is about to be repeated.")
    assert len(after_it_was[0]) == 1


def test_while_an_older_release_is_served_again_no_refresh_is_asked_for(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    change(store, "Cup")
    for release_id in ("20261101T050000-aaaaaa", "20261102T050000-bbbbbb"):
        publish_one(home, release_id)
    rollback(home / "releases")
    gone_back = look(changes, instance)
    rollback(home / "releases", to="20261102T050000-bbbbbb")

    forward_again = look(changes, instance)

    assert gone_back[0] == []
    assert str(gone_back[1]).startswith("Somebody went back to the release 20261101T050000-aaaaaa: ")
    assert len(forward_again[0]) == 1


def test_a_publication_that_was_killed_before_it_moved_the_pointer_holds_up_nothing(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, "Cup")
    publish_one(home, "20261101T050000-aaaaaa")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stores.releases.point", lambda *_: None)
        publish_one(home, "20261102T050000-bbbbbb")

    asked, _ = look(changes, instance)

    assert [served_id(home / "releases"), *complete_ids(home / "releases")] == [
        "20261101T050000-aaaaaa", "20261102T050000-bbbbbb", "20261101T050000-aaaaaa",
    ]  # fmt: skip
    assert len(asked) == 1


def test_a_mark_that_is_gone_or_damaged_or_of_another_epoch_asks_once_more(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, home: Path, store: OperationalStore
) -> None:
    found = []
    for text in (None, "{", '{"epoch": "another", "position": "1:2:"}'):
        (home / MARK).unlink(missing_ok=True)
        if text is not None:
            (home / MARK).write_text(text, encoding="utf-8")
        found.append(look(changes, instance)[0])

    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 1


def test_a_store_that_was_restored_is_read_once_more(home: Path, store: OperationalStore) -> None:
    before = waiting_changes(store, read_mark(home))

    begin_epoch(store)

    assert before is None
    assert waiting_changes(store, read_mark(home)) is not None


def test_before_the_first_run_it_says_what_to_do(
    changes: dg.SensorDefinition, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "empty"))

    asked, why = look(changes, instance)

    assert asked == []
    assert why == "No run has filled the warehouse yet: start the job ordercast once, refreshes go on from there."
