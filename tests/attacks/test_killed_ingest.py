"""kill -9 of the ingester at any moment, and damage to the log that a kill leaves behind: a rerun equals one clean run."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.warehouse import open_warehouse
from tests.attacks import ingester

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Size

FIELDS = {
    "products": ["sku", "title"],
    "orders": ["order_id", "created_at", "currency", "order_name"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "stock_levels": ["sku", "location_id", "on_hand"],
}
# Everything but the names of runs: a row is held back for the same reason, whichever run saw it.
CONTENTS = {
    **{name: f"SELECT * FROM raw.{name} ORDER BY ALL" for name in FIELDS},
    "quarantine": "SELECT table_name, row_key, row_json, rule, reason FROM quarantine.document_rows WHERE resolved_run_id IS NULL ORDER BY ALL",
    "stock": "SELECT * FROM history.stock_levels ORDER BY ALL",
}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.attacks.ingester"])


@pytest.fixture
def shop(store: OperationalStore) -> OperationalStore:
    fill(store)
    return store


def fill(store: OperationalStore) -> None:
    """300 orders of one line each, watched."""
    store.create_source_tables(FIELDS)
    with store.transaction() as conn:
        conn.exec_driver_sql("INSERT INTO products (sku, title) VALUES ('MUG', 'Mug')")
        conn.exec_driver_sql("INSERT INTO stock_levels (sku, location_id, on_hand) VALUES ('MUG', 'L', 7)")
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    for first in range(0, 300, 100):
        change(store, *(statement for number in range(first, first + 100) for statement in order(number)))


def order(number: int, quantity: int = 2) -> tuple[str, str]:
    return (
        f"INSERT INTO orders (order_id, created_at, currency, order_name) VALUES ('O{number}', '2026-03-01 10:00:00', 'EUR', 'first')",
        "INSERT INTO order_lines (order_line_id, order_id, sku, quantity, unit_price) "
        f"VALUES ('L{number}', 'O{number}', 'MUG', {quantity}, '12.50')",
    )


def batch(number: int) -> tuple[str, ...]:
    """Changes that no other batch repeats, so what is lost once stays lost; every third brings a bad document."""
    return (
        *order(1000 + number, quantity=0 if number % 3 == 0 else 1),
        f"UPDATE orders SET order_name = 'batch {number}' WHERE order_id = 'O{number % 80}'",
        f"UPDATE order_lines SET quantity = {number + 10} WHERE order_line_id = 'L{80 + number % 80}'",
        f"DELETE FROM order_lines WHERE order_line_id = 'L{160 + number % 70}'",
        f"DELETE FROM orders WHERE order_id = 'O{160 + number % 70}'",
        f"UPDATE orders SET order_id = 'R{number}' WHERE order_id = 'O{230 + number % 70}'",
        f"UPDATE order_lines SET order_id = 'R{number}' WHERE order_id = 'O{230 + number % 70}'",
        f"UPDATE stock_levels SET on_hand = {number}",
    )


def change(store: OperationalStore, *statements: str) -> None:
    with store.transaction() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)


def killed(target: Callable[..., None], url: str, home: Path, name: str, after: float) -> bool:
    """Whether the ingest was killed before it had ended by itself."""
    process = FORKS.Process(target=target, args=(url, home, name))
    process.start()
    process.join(timeout=after)
    process.kill()
    process.join()
    return process.exitcode != 0


def seconds_of_an_ingest(url: str, home: Path) -> float:
    """How long one takes that is let alone, the fork included; the warehouse stands afterwards."""
    process = FORKS.Process(target=ingester.ingest_once, args=(url, home, "clean"))
    started = time.perf_counter()
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - started


def contents(home: Path) -> dict[str, list[Any]]:
    with open_warehouse(home / "warehouse.duckdb") as conn:
        return {name: conn.execute(query).fetchall() for name, query in CONTENTS.items()}


def storm(target: Callable[..., None], shop: OperationalStore, url: str, home: Path, kills: int) -> tuple[int, int]:
    """How many ingests were killed and how many ended before; changes come in before each. The last one is let alone."""
    chance = random.Random(kills)
    ingester.ingest_once(url, home, "first")
    whole = seconds_of_an_ingest(url, home)
    hit = missed = 0
    while hit < kills:
        change(shop, *batch(hit + missed))
        if killed(target, url, home, f"run-{hit + missed}", after=chance.uniform(0, whole)):
            hit += 1
        else:
            missed += 1
    ingester.ingest_once(url, home, "last")
    return hit, missed


def afresh(url: str, home: Path, folder: Path) -> Path:
    """The home of one clean ingest of the store as it is now."""
    folder.mkdir()
    shutil.copy(home / "customer_key.secret", folder)
    ingester.ingest_once(url, folder, "clean")
    return folder


def test_an_ingest_that_is_killed_again_and_again_ends_like_one_clean_run(
    shop: OperationalStore, store_url: str, tmp_path: Path, size: Size, tell: Callable[[str], None]
) -> None:
    kills = size(small=15, full=200)
    share = kills // 2 + (shop.dialect == "sqlite")

    hit, missed = storm(ingester.ingest_once, shop, store_url, tmp_path / "home", share)

    clean = contents(afresh(store_url, tmp_path / "home", tmp_path / "clean"))
    found = contents(tmp_path / "home")
    wrong = sum(len(set(clean[name]) ^ set(found[name])) for name in clean)
    tell(f"ingest on {shop.dialect}: killed {hit} times ({missed} ended before), {wrong} rows other than in one clean run")
    assert found == clean


def test_an_ingest_that_commits_its_position_first_loses_rows(
    sqlite_url: str, tmp_path: Path, size: Size, tell: Callable[[str], None]
) -> None:
    with OperationalStore.open(sqlite_url) as store:
        fill(store)
        hit, _ = storm(ingester.ingest_position_first, store, sqlite_url, tmp_path / "home", size(small=6, full=50))

    clean = contents(afresh(sqlite_url, tmp_path / "home", tmp_path / "clean"))
    found = contents(tmp_path / "home")
    wrong = sum(len(set(clean[name]) ^ set(found[name])) for name in FIELDS)
    tell(f"ingest that commits its position first: killed {hit} times, {wrong} rows other than in one clean run")
    assert wrong > 0


def test_a_damaged_log_of_the_warehouse_is_found_and_nothing_half_done_is_read(
    sqlite_url: str, tmp_path: Path, size: Size, tell: Callable[[str], None]
) -> None:
    home, trial = tmp_path / "home", tmp_path / "trial.duckdb"
    log, trial_log = home / "warehouse.duckdb.wal", tmp_path / "trial.duckdb.wal"
    with OperationalStore.open(sqlite_url) as store:
        fill(store)
    ingester.ingest_once(sqlite_url, home, "first")
    reading, writing = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=ingester.ingest_and_die, args=(sqlite_url, home, [batch(number)[2] for number in range(5)], writing))
    process.start()
    writing.close()
    states = read_all(reading)
    process.join()
    checkpointed, logged = (home / "warehouse.duckdb").read_bytes(), log.read_bytes()
    chance, refused, earlier = random.Random(7), 0, 0

    damages = size(small=50, full=500)
    for number in range(damages):
        trial.write_bytes(checkpointed)
        trial_log.write_bytes(cut_off(logged, chance) if number % 2 else flipped(logged, chance))
        refused += not opens(trial)
        with open_warehouse(trial) as conn:
            found = ingester.state(conn)
        earlier += found != states[-1]
        assert found in states

    tell(f"log of the warehouse: {damages} damages, {refused} found by its checksums and put aside, {earlier} back at an earlier commit")
    assert len(set(states)) == len(states) == 6
    assert refused >= damages // 3
    assert (tmp_path / "trial.duckdb.wal.damaged").exists()
    shutil.copy(trial, home / "warehouse.duckdb")
    log.unlink()
    ingester.ingest_once(sqlite_url, home, "after")
    assert contents(home) == contents(afresh(sqlite_url, home, tmp_path / "clean"))


def flipped(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut_off(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def opens(path: Path) -> bool:
    """Whether DuckDB itself takes the file and its log, on a copy."""
    copy, log = path.with_name("copy.duckdb"), path.with_name("copy.duckdb.wal")
    shutil.copy(path, copy)
    shutil.copy(f"{path}.wal", log)
    try:
        duckdb.connect(str(copy)).close()
    except duckdb.Error:
        return False
    finally:
        copy.unlink()
        log.unlink(missing_ok=True)
    return True


def read_all(connection: Any) -> list[tuple[Any, ...]]:
    found = []
    while True:
        try:
            found.append(connection.recv())
        except EOFError:
            return found
