"""Between whole runs figures follow the store, plans stay, and days can be read anew: the same rows as from all, and no other touched."""

from __future__ import annotations

import json
import shutil
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from pipelines.errors import ReleaseError, TransformError
from pipelines.quality.dated_documents import Days
from pipelines.settings import Settings
from pipelines.simulator.load import load_merchant, scenario_named
from pipelines.steps.backfill import read_days_anew
from pipelines.steps.ingest import IngestResult, ingest
from pipelines.steps.publish import publish_release
from pipelines.steps.refresh import refresh_settings
from pipelines.steps.transform import prepare_manifest, transform
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import Release, open_release
from pipelines.stores.standing_plans import begin_planning
from pipelines.stores.warehouse import open_warehouse
from tests.conftest import database_url
from tests.integration.partial_build import narrowed_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

FULL = "20261101T050000-full00"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def planned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, OperationalStore]]:
    """A simulated merchant, once in each database, whose figures and plans one run has published."""
    home = tmp_path_factory.mktemp("home")
    if request.param == "sqlite":
        url = f"sqlite:///{home / 'store.db'}"
    else:
        server = request.getfixturevalue("postgresql_server")
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE ready STRATEGY wal_log").format(sql.Identifier(name)))
        url = database_url(server, name)
    settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]
    with OperationalStore.open(url, must_exist=False) as store:
        load_merchant(store, scenario_named("small"), seed=5)
        with open_warehouse(settings.warehouse_path) as conn:
            ingest(store, conn, run_id=FULL, settings=settings)
        transform(settings)
        with open_warehouse(settings.warehouse_path) as conn:
            begin_planning(conn)
            publish(conn, settings)
        yield settings, store


@pytest.fixture
def shop(planned: tuple[Settings, OperationalStore], tmp_path: Path) -> tuple[Settings, OperationalStore]:
    """The same with a home of its own; the store is shared, and each test leaves its changes in it."""
    settings, store = planned
    shutil.copytree(settings.resolved_home, tmp_path / "home", ignore=shutil.ignore_patterns("store.db*"))
    return Settings(_env_file=None, home=tmp_path / "home"), store  # type: ignore[call-arg]


class Refresh(NamedTuple):
    """A refresh of a store in which an order and a parcel changed, when the tables were due to be compared: what it did, and the plans before."""

    settings: Settings
    store: OperationalStore
    result: IngestResult
    release: Release
    plans: dict[str, list[tuple[object, ...]]]
    is_due: bool


@pytest.fixture(scope="module")
def refresh(planned: tuple[Settings, OperationalStore], tmp_path_factory: pytest.TempPathFactory) -> Refresh:
    """The store keeps its changes for the tests that follow."""
    before, store = planned
    home = tmp_path_factory.mktemp("refreshed") / "home"
    shutil.copytree(before.resolved_home, home, ignore=shutil.ignore_patterns("store.db*"))
    settings = Settings(_env_file=None, home=home)  # type: ignore[call-arg]
    with open_warehouse(settings.warehouse_path) as conn:
        plans = contents(conn, "planning")
        is_due = len(conn.execute("UPDATE meta.source_tables SET compared_at = compared_at - INTERVAL 21 HOUR RETURNING 1").fetchall()) > 0
    execute(
        store, "UPDATE shipments SET delivered_at = '2026-08-09 09:00:00' WHERE shipment_id IN (SELECT min(shipment_id) FROM shipments)"
    )
    execute(
        store, "UPDATE orders SET ship_to_country = 'FR' WHERE order_id IN (SELECT min(order_id) FROM orders WHERE ship_to_country <> 'FR')"
    )
    return Refresh(settings, store, *refreshed(settings, store), plans, is_due)


@pytest.fixture
def up_to_date(refresh: Refresh, tmp_path: Path) -> tuple[Settings, OperationalStore]:
    """What the refresh left, in a home of its own."""
    shutil.copytree(refresh.settings.resolved_home, tmp_path / "home")
    return Settings(_env_file=None, home=tmp_path / "home"), refresh.store  # type: ignore[call-arg]


def publish(conn: duckdb.DuckDBPyConnection, settings: Settings) -> Release:
    return publish_release(conn, settings=settings, manifest=manifest_of(settings))


def refreshed(settings: Settings, store: OperationalStore, run_id: str = "20261101T060000-fresh0") -> tuple[IngestResult, Release]:
    with open_warehouse(settings.warehouse_path) as conn:
        as_planned = refresh_settings(conn, settings)
        result = ingest(store, conn, run_id=run_id, settings=as_planned, comparing="what_no_feed_tells")
    assert transform(as_planned).scope == "same_day"
    with open_warehouse(settings.warehouse_path) as conn:
        return result, publish(conn, settings)


def contents(conn: duckdb.DuckDBPyConnection, schema: str = "marts") -> dict[str, list[tuple[object, ...]]]:
    tables = conn.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1", [schema]).fetchall()
    return {name: conn.execute(f"SELECT * FROM {schema}.{name} ORDER BY ALL").fetchall() for (name,) in tables}


def execute(store: OperationalStore, statement: str) -> None:
    with store.transaction() as conn:
        assert conn.execute(sa.text(statement)).rowcount > 0


def day_with_orders(conn: duckdb.DuckDBPyConnection, *, after: int) -> date:
    row = conn.execute(
        "SELECT ordered_date FROM marts.fct_orders GROUP BY 1 HAVING count(*) > 3 ORDER BY 1 LIMIT 1 OFFSET ?", [after]
    ).fetchone()
    assert row is not None
    day: date = row[0]
    return day


def test_a_refresh_publishes_what_a_build_from_all_rows_would(refresh: Refresh, tmp_path: Path) -> None:
    shutil.copytree(refresh.settings.resolved_home, tmp_path / "anew", ignore=shutil.ignore_patterns("store.db*"))
    anew = Settings(_env_file=None, home=tmp_path / "anew")  # type: ignore[call-arg]
    transform(anew, from_all_rows=True)

    with duckdb.connect(str(anew.warehouse_path), read_only=True) as conn:
        expected = contents(conn)
    with open_release(refresh.release) as conn:
        published = contents(conn)
    assert {table.name for table in refresh.result.tables if table.rows_loaded} == {"orders", "shipments"}
    assert published.keys() == expected.keys()
    waiting = {node["name"] for node in manifest_of(anew)["nodes"].values() if "daily" in node.get("tags", ())}  # for the next day
    assert [name for name in expected if name not in waiting and published[name] != expected[name]] == []


def test_a_release_of_a_refresh_says_whose_plans_it_holds(refresh: Refresh) -> None:
    release = refresh.release

    assert (release.planned_by, release.planning_run_id) == (FULL, FULL)
    assert release.planned_at is not None
    with open_release(release) as conn:
        assert contents(conn, "planning") == refresh.plans
        assert conn.execute("SELECT as_of_date::VARCHAR FROM meta.run_context").fetchone() == (release.as_of_date,)


def test_a_refresh_leaves_it_to_whole_runs_to_count_and_compare(refresh: Refresh) -> None:
    assert refresh.is_due
    assert refresh.result.comparisons == ()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM history.standing_plans", "No whole run has planned yet"),
        ("UPDATE history.standing_plans SET published_at = NULL", "did not end"),
        ("UPDATE history.standing_plans SET project_hash = 'another'", "The models have changed"),
    ],
)
def test_a_refresh_beside_plans_that_do_not_fit_is_refused_before_anything_changes(
    shop: tuple[Settings, OperationalStore], statement: str, told: str
) -> None:
    settings, _ = shop
    with open_warehouse(settings.warehouse_path) as conn:
        conn.execute(statement)

        with pytest.raises(TransformError, match=f"{told}.*`ordercast run`.*Nothing was changed"):
            refresh_settings(conn, settings)


def test_figures_of_another_day_are_not_published_beside_plans(shop: tuple[Settings, OperationalStore]) -> None:
    settings, store = shop
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id="20261101T070000-other0", settings=settings)
        conn.execute("UPDATE meta.run_context SET as_of_date = as_of_date + 1")

        with pytest.raises(ReleaseError, match="the as-of date changed; `ordercast run` plans anew"):
            publish(conn, settings)


def test_plans_that_another_run_began_are_not_published(shop: tuple[Settings, OperationalStore]) -> None:
    settings, store = shop
    with open_warehouse(settings.warehouse_path) as conn:
        begin_planning(conn)
        ingest(store, conn, run_id="20261101T070000-other0", settings=settings)

        with pytest.raises(ReleaseError, match="began to plan and did not end"):
            publish(conn, settings)


def test_a_backfill_heals_its_days_and_leaves_all_others_as_they_are(up_to_date: tuple[Settings, OperationalStore]) -> None:
    settings, store = up_to_date
    with open_warehouse(settings.warehouse_path) as conn:
        chosen, other = day_with_orders(conn, after=3), day_with_orders(conn, after=9)
        sound = contents(conn, "raw")
        for day in (chosen, other):
            orders = f"SELECT order_id FROM marts.fct_orders WHERE ordered_date = DATE '{day}'"
            conn.execute(f"UPDATE raw.orders SET ship_to_country = 'XX' WHERE order_id IN ({orders})")
        conn.execute(
            f"DELETE FROM raw.order_events WHERE order_id IN (SELECT order_id FROM marts.fct_orders WHERE ordered_date = DATE '{chosen}')"
        )
        conn.execute(f"UPDATE marts.fct_orders SET is_open = NOT is_open WHERE ordered_date = DATE '{chosen}'")
        others = [row for row in contents(conn)["fct_orders"] if chosen not in row]

    with narrowed_to("+fct_orders"):
        summary = read_days_anew(
            store, settings, days=Days(chosen, chosen), run_id="20261101T080000-days00", manifest=manifest_of(settings)
        )

    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        of_other = {row[0] for row in conn.execute(f"SELECT order_id FROM marts.fct_orders WHERE ordered_date = DATE '{other}'").fetchall()}
        healed = contents(conn, "raw")
        assert [row for row in contents(conn)["fct_orders"] if chosen not in row] == others
    assert set(summary.rows_healed) == {"orders", "order_events"}
    assert {name for name in sound if healed[name] != sound[name]} == {"orders"}
    assert {row[0] for row in set(healed["orders"]) - set(sound["orders"])} == of_other


def test_a_backfill_computes_the_models_of_its_days_anew(up_to_date: tuple[Settings, OperationalStore]) -> None:
    settings, store = up_to_date
    with open_warehouse(settings.warehouse_path) as conn:
        chosen = day_with_orders(conn, after=3)
        sound = contents(conn)["fct_orders"]
        conn.execute(f"UPDATE marts.fct_orders SET channel_id = 'wrong' WHERE ordered_date = DATE '{chosen}'")

    with narrowed_to("+fct_orders"):
        read_days_anew(store, settings, days=Days(chosen, chosen), run_id="20261101T080000-days00", manifest=manifest_of(settings))

    with open_warehouse(settings.warehouse_path, read_only=True) as conn:
        assert contents(conn)["fct_orders"] == sound


def manifest_of(settings: Settings) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(prepare_manifest(settings).read_text(encoding="utf-8"))
    return manifest
