"""A home that was lost comes back from its backup; a backup that is not whole touches nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import BackupError, StoreUnavailableError
from pipelines.settings import Settings
from pipelines.steps.backup import back_up
from pipelines.steps.ingest import ingest
from pipelines.steps.restore import is_interrupted, restore, would_overwrite
from pipelines.stores import store_copies
from pipelines.stores.backups import check_backup, read_manifest, write_manifest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.own_tables import metadata
from pipelines.stores.releases import ReleaseFacts, open_served, publish
from pipelines.stores.warehouse import open_warehouse
from tests.integration.test_ingest import FIELDS, contents, lines, orders, rows

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = ["O1", "O2", "O3"]


@pytest.fixture
def settings(tmp_path: Path, store_url: str) -> Settings:
    return Settings(home=tmp_path / "home", store_url=store_url, _env_file=None)


@pytest.fixture
def shop(store: OperationalStore, settings: Settings) -> OperationalStore:
    """Three orders, ingested and published by run r1; stock of one item; an operator, so that the audit log has a row."""
    store.create_source_tables(FIELDS | {"locations": ["location_id", "name", "type", "time_zone"],
                                         "stock_levels": ["sku", "location_id", "on_hand"]})  # fmt: skip
    store.append("locations", rows("locations", location_id=["L"], name=["Shop"], type=["store"], time_zone=["Europe/Berlin"]))
    store.append("products", rows("products", sku=["MUG"], title=["Mug"]))
    store.append("stock_levels", rows("stock_levels", sku=["MUG"], location_id=["L"], on_hand=[7]))
    store.append("customers", rows("customers", customer_id=["anna@example.org"], country=["DE"]))
    store.append("orders", orders(*ORDERS))
    store.append("order_lines", lines(*ORDERS))
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    set_operator(store, Operator("ann", "admin", None, None, None), by="ann")
    run(store, settings, "r1")
    return store


def run(store: OperationalStore, settings: Settings, run_id: str) -> bool:
    """Ingest and publish, as a run does; returns whether everything was read anew."""
    with open_warehouse(settings.warehouse_path) as conn:
        result = ingest(store, conn, run_id=run_id, settings=settings)
        conn.execute("CREATE SCHEMA IF NOT EXISTS marts")
        conn.execute("CREATE OR REPLACE TABLE marts.fct_orders AS SELECT order_id FROM raw.orders")
        facts = ReleaseFacts(run_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
        publish(conn, settings.releases_path, facts=facts, catalogue="{}", keep=5)
    return result.is_full_resync


def warehouse_of(settings: Settings) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """What is in `raw` and in the history of stock."""
    with open_warehouse(settings.warehouse_path) as conn:
        return contents(conn), conn.execute("SELECT * FROM history.stock_levels ORDER BY ALL").fetchall()


def own_rows(store: OperationalStore) -> dict[str, list[tuple[Any, ...]]]:
    with store.transaction(writes=False) as conn:
        return {name: sorted(map(str, conn.execute(sa.select(table)))) for name, table in metadata.tables.items()}  # type: ignore[misc]


def lose(settings: Settings) -> None:
    """The disk under the home is gone; a PostgreSQL store and a SQLite file elsewhere stay."""
    shutil.rmtree(settings.resolved_home)
    settings.resolved_home.mkdir()


def served_orders(settings: Settings) -> tuple[str, int]:
    with open_served(settings.releases_path) as (release, conn):
        return release.release_id, conn.execute("SELECT count(*) FROM marts.fct_orders").fetchall()[0][0]


def test_a_home_that_was_lost_is_what_it_was_after_a_restore_and_a_run(shop: OperationalStore, settings: Settings, tmp_path: Path) -> None:
    before, own = warehouse_of(settings), own_rows(shop)
    back_up(shop, tmp_path / "backup", settings=settings)
    shop.append("orders", orders("O4"))
    set_operator(shop, Operator("ann", "admin", None, None, ("SUP",)), by="ann")
    run(shop, settings, "r2")
    lose(settings)

    report = restore(tmp_path / "backup", settings=settings)

    assert (report.problems, report.rows_count) == ((), 1)
    assert warehouse_of(settings) == before
    assert own_rows(shop) == own
    assert served_orders(settings) == ("r1", 3)
    assert run(shop, settings, "r3")  # the position of the older warehouse is worth nothing: everything is read anew
    found, history = warehouse_of(settings)
    has_fourth = shop.dialect == "postgresql"  # the merchant's tables are not in a backup of PostgreSQL
    assert [row[0] for row in found["orders"]] == [*ORDERS, *(["O4"] if has_fourth else [])]
    assert has_fourth or found == before[0]
    assert history == before[1]
    assert verify(shop).problems == ()
    assert not is_interrupted(settings)
    assert sorted(path.name for path in settings.resolved_home.glob("restore.*")) == []


def test_a_backup_is_closed_to_others_and_says_what_it_holds(shop: OperationalStore, settings: Settings, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path / "backup", settings=settings)

    facts = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    paths = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "backup" / "customer_key.secret").stat().st_mode) == 0o600
    assert sorted(path.relative_to(tmp_path / "backup").as_posix() for path in paths if path.name != "manifest.json") == sorted(
        file["path"] for file in facts["files"]
    )
    assert (facts["migration"], facts["merchant_name"], facts["release_id"], facts["audit_seq"]) == (
        shop.migration(),
        "Corner Shop",
        "r1",
        1,
    )
    assert check_backup(tmp_path / "backup") == read_manifest(tmp_path / "backup")
    counted = {name: count for file in made.files for name, count in file.rows.items()}
    assert (counted["operator"], counted["audit_log"], counted["history.stock_levels"]) == (1, 1, 1)
    assert ("orders" in counted) == (shop.dialect == "sqlite")
    assert not list(tmp_path.glob("*.building"))


def test_any_changed_byte_of_a_backup_is_found_and_nothing_is_touched(shop: OperationalStore, settings: Settings, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path / "backup", settings=settings)
    before = warehouse_of(settings), own_rows(shop)
    of_store = next(file.path for file in made.files if file.size_bytes)
    for path in (of_store, "warehouse.duckdb", "customer_key.secret", "releases/CURRENT", "releases/r1.duckdb", "manifest.json"):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(tmp_path / "backup", tmp_path / "copy")
        damage = bytearray((tmp_path / "copy" / path).read_bytes())
        damage[len(damage) // 2] ^= 4
        (tmp_path / "copy" / path).write_bytes(damage)

        with pytest.raises(BackupError, match=r"damaged|not as we write it|no backup"):
            restore(tmp_path / "copy", settings=settings)

    (tmp_path / "copy" / "warehouse.duckdb").unlink()
    with pytest.raises(BackupError, match=r"differs|missing|damaged"):
        restore(tmp_path / "copy", settings=settings)
    assert (warehouse_of(settings), own_rows(shop)) == before


def test_a_folder_that_is_no_backup_or_of_another_kind_is_refused(shop: OperationalStore, settings: Settings, tmp_path: Path) -> None:
    back_up(shop, tmp_path / "backup", settings=settings)
    other = "postgresql" if shop.dialect == "sqlite" else "sqlite"
    made = read_manifest(tmp_path / "backup")
    for name, change in (("other", {"dialect": other}), ("newer", {"migration": "9999"})):
        shutil.copytree(tmp_path / "backup", tmp_path / name)
        write_manifest(tmp_path / name, replace(made, **change))
    shutil.copytree(tmp_path / "backup", tmp_path / "outside")
    write_manifest(tmp_path / "outside", replace(made, files=(replace(made.files[0], path="releases/../../store.db"),)))

    for name, message in (("home", "is no backup"), ("other", "set ORDERCAST_STORE_URL"), ("newer", "install that version"),
                          ("outside", "no backup of ours holds")):  # fmt: skip
        with pytest.raises(BackupError, match=message):
            restore(tmp_path / name, settings=settings)


def test_a_store_file_that_was_lost_comes_back_closed_to_others_and_one_that_stands_keeps_its_mode(sqlite_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", store_url=sqlite_url, _env_file=None)
    file, modes = tmp_path / "store.db", []
    with OperationalStore.open(sqlite_url) as store:
        back_up(store, tmp_path / "backup", settings=settings)
    file.chmod(0o640)
    for is_lost in (False, True):
        if is_lost:
            file.unlink()
        restore(tmp_path / "backup", settings=settings)
        modes.append(stat.S_IMODE(file.stat().st_mode))

    assert modes == [0o640, 0o600]


def test_an_audit_log_that_was_changed_in_the_backup_is_found_though_its_sums_are_right(
    shop: OperationalStore, settings: Settings, tmp_path: Path
) -> None:
    made = back_up(shop, tmp_path / "backup", settings=settings)
    before = warehouse_of(settings), own_rows(shop)
    write_manifest(tmp_path / "backup", replace(made, audit_hash="0" * 64))

    with pytest.raises(BackupError, match="audit log in the backup was changed"):
        restore(tmp_path / "backup", settings=settings)

    assert (warehouse_of(settings), own_rows(shop)) == before


def test_what_was_there_stands_again_where_a_restore_fails_at_its_last_act(
    shop: OperationalStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(shop, tmp_path / "backup", settings=settings)
    shop.append("orders", orders("O4"))
    run(shop, settings, "r2")
    before = warehouse_of(settings), own_rows(shop), served_orders(settings)

    def fail(*_: object) -> None:
        raise StoreUnavailableError("is locked")

    monkeypatch.setattr("pipelines.steps.restore.overwrite_sqlite", fail)
    monkeypatch.setattr("pipelines.steps.restore.load_tables", fail)
    with pytest.raises(StoreUnavailableError):
        restore(tmp_path / "backup", settings=settings)

    assert (warehouse_of(settings), own_rows(shop), served_orders(settings)) == before
    assert not is_interrupted(settings)


def test_a_restore_that_was_killed_is_undone_by_the_next(
    shop: OperationalStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(shop, tmp_path / "backup", settings=settings)
    before = warehouse_of(settings)
    lose(settings)
    with monkeypatch.context() as killed:
        killed.setattr("pipelines.steps.restore._put_back", lambda *_: None)  # as a process that is gone puts nothing back
        killed.setattr("pipelines.steps.restore.overwrite_sqlite", lambda *_: 1 / 0)
        killed.setattr("pipelines.steps.restore.load_tables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore(tmp_path / "backup", settings=settings)
    assert is_interrupted(settings)

    restore(tmp_path / "backup", settings=settings)

    assert not is_interrupted(settings)
    assert warehouse_of(settings) == before


def test_a_store_that_somebody_keeps_locked_is_left_alone(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_copies, "_WAIT_SECONDS", 0.0)
    target = tmp_path / "live.db"
    with closing(sqlite3.connect(target, isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode = WAL").fetchone()
        holder.execute("CREATE TABLE mine (n)")
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="stop it and try again"):
            store_copies.overwrite_sqlite(tmp_path / "store.db", target)
        holder.execute("ROLLBACK")

        assert holder.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_a_store_file_that_is_no_database_any_more_is_replaced(sqlite_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", store_url=sqlite_url, _env_file=None)
    with OperationalStore.open(sqlite_url) as store:
        store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
        back_up(store, tmp_path / "backup", settings=settings)
    (tmp_path / "store.db").write_bytes(b"rubbish" * 1000)
    named = would_overwrite(tmp_path / "backup", settings=settings)

    restore(tmp_path / "backup", settings=settings)

    assert named == [f"{tmp_path / 'store.db'}, which is no database that can be read"]
    with OperationalStore.open(sqlite_url) as store:
        assert store.merchant() is not None


def test_a_backup_of_older_tables_is_brought_to_the_newest(shop: OperationalStore, settings: Settings, tmp_path: Path) -> None:
    back_up(shop, tmp_path / "backup", settings=settings)
    newest = shop.migration()
    shop.migrate(to="0003")

    restore(tmp_path / "backup", settings=settings)

    assert shop.migration() == newest
    assert verify(shop).rows_count == 1


def test_every_table_that_migrations_create_is_known_to_a_backup(store: OperationalStore) -> None:
    with store.transaction(writes=False) as conn:
        names = set(sa.inspect(conn).get_table_names())

    assert {name for name in names if not name.startswith("feed_")} - {"ordercast_version"} == set(metadata.tables)


def test_backup_and_restore_on_the_command_line(
    shop: OperationalStore,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    store_url: str,
) -> None:
    from tests.integration.test_cli import Terminal

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(settings.home))
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    ordercast = Terminal(monkeypatch, capsys)

    code, made, _ = ordercast("backup", "kept")
    again, _, twice = ordercast("backup", "kept")
    checked, whole, _ = ordercast("restore", "--check", "kept")
    refused, _, why = ordercast("restore", "kept")
    done, told, _ = ordercast("restore", "kept", "--yes")

    assert (code, again, checked, refused, done) == (0, 3, 0, 3, 0)
    assert "and read back" in made
    assert "customer_key.secret" in made
    assert ("merchant's own tables are not in it" in made) == (shop.dialect == "postgresql")
    assert "exists already" in twice
    assert "is whole" in whole
    assert "of Corner Shop" in why
    assert "Say --yes" in why
    assert "Next: ordercast run" in told
