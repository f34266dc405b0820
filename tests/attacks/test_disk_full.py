"""The disk becomes full at any point while the warehouse is built or a release is published: what was served is served, and the next
run that has space ends like one that was never disturbed.

Where the test may mount a file system, the disk is a small one that really is full; elsewhere files may not grow past a limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import pytest

from pipelines.errors import UnavailableError
from pipelines.settings import PROJECT_ROOT, Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.releases import ReleaseFacts, damaged_releases, open_served, publish
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import FRAME_TYPES
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Size

DISK_BYTES: Final = 64 * 1024**2
MART_ROWS: Final = 50_000
FIELDS: Final = {
    "products": ["sku"],
    "orders": ["order_id", "created_at", "currency"],
    "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
}


def main() -> None:
    """The process under attack: where the home is, where the store is, how often, and how the disk fills; prints what came of it."""
    home, store_path, times, how = sys.argv[1:]
    random_ = random.Random(11)
    settings = Settings(home=Path(home), _env_file=None)
    outcomes: list[dict[str, Any]] = []
    with OperationalStore.open(f"sqlite:///{store_path}", must_exist=False) as store:
        open_shop(store)
        one_run(store, settings, "r0000")
        largest = max(path.stat().st_size for path in settings.resolved_home.rglob("*.duckdb"))
        for number in range(1, int(times) + 1):
            at = "build" if number % 2 else "publish"
            if at == "build":
                add_orders(store, first=number * 1_000, count=50)
            before = served(settings)
            room = int(largest * random_.random() * (0.8 if at == "build" else 1.2))
            outcome = attempt(store, settings, f"r{number:04d}-a", at=at, how=how, room=room)
            is_served = before == served(settings) or (outcome == "done" and served(settings)[0] == f"r{number:04d}-a")
            left = [path.name for path in settings.releases_path.iterdir() if "building" in path.name]
            one_run(store, settings, f"r{number:04d}-b")
            outcomes.append({
                "at": at, "outcome": outcome, "is_served": is_served, "left": left, "recovered": served(settings)[0],
                "orders": served(settings)[1], "expected": 50 * ((number + 1) // 2 + 1), "damaged": len(damaged_releases(settings.releases_path)),
            })  # fmt: skip
    sys.stdout.write(json.dumps(outcomes))


def attempt(store: OperationalStore, settings: Settings, run_id: str, *, at: str, how: str, room: int) -> str:
    """A run whose disk has so little room from the building on, or from the publishing on; "done", what was said, or what was raised."""
    try:
        if at == "build":
            with little_room(settings.resolved_home, how=how, room=room):
                one_run(store, settings, run_id)
        else:
            one_run(store, settings, run_id, before_publishing=little_room(settings.resolved_home, how=how, room=room))
    except UnavailableError as exc:
        return f"said: {exc}"
    except BaseException as exc:
        return f"raised: {type(exc).__name__}: {exc}"
    return "done"


def one_run(
    store: OperationalStore, settings: Settings, run_id: str, before_publishing: contextlib.AbstractContextManager[None] | None = None
) -> None:
    """Ingest, build a mart that grows the warehouse, publish it."""
    with open_warehouse(settings.warehouse_path) as conn:
        ingest(store, conn, run_id=run_id, settings=settings)
        conn.execute("CREATE SCHEMA IF NOT EXISTS marts")
        conn.execute(f"CREATE OR REPLACE TABLE marts.filler AS SELECT range AS n, hash(range, '{run_id}') AS x FROM range({MART_ROWS})")
        conn.execute("CREATE OR REPLACE TABLE marts.fct_orders AS SELECT order_id FROM raw.orders")
        with before_publishing or contextlib.nullcontext():
            facts = ReleaseFacts(run_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
            publish(conn, settings.releases_path, facts=facts, catalogue="{}", keep=2)


@contextlib.contextmanager
def little_room(folder: Path, *, how: str, room: int) -> Iterator[None]:
    """In the block files in the folder can grow by about `room` bytes."""
    if how == "limit":
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(room, 4096), unlimited[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        return
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(folder).free - room, 1))
    try:
        yield
    finally:
        ballast.unlink()


def served(settings: Settings) -> tuple[str, int]:
    with open_served(settings.releases_path) as (release, conn):
        return release.release_id, conn.execute("SELECT count(*) FROM marts.fct_orders").fetchall()[0][0]


def open_shop(store: OperationalStore) -> None:
    store.migrate()
    store.create_source_tables(FIELDS)
    store.append("products", frame("products", sku=["MUG"]))
    add_orders(store, first=0, count=50)
    install_feed(store)
    store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))


def add_orders(store: OperationalStore, *, first: int, count: int) -> None:
    names = [f"O{number}" for number in range(first, first + count)]
    store.append("orders", frame("orders", order_id=names, created_at=[datetime(2025, 3, 10, 22, 30)] * count, currency=["EUR"] * count))
    store.append(
        "order_lines",
        frame("order_lines", order_line_id=names, order_id=names, sku=["MUG"] * count, quantity=[1] * count, unit_price=[1] * count),
    )


def frame(table: str, **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema={name: FRAME_TYPES[SOURCE_TABLES[table].field(name).kind] for name in columns})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and how it becomes full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "ordercast-test", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield folder, "tmpfs" if is_mounted else "limit"
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_what_was_served_and_the_next_run_recovers(
    tmp_path: Path, disk: tuple[Path, str], size: Size, tell: Callable[[str], None]
) -> None:
    times, (folder, how) = size(small=10, full=100), disk
    # Without the first look at free space, so that the disk is full in the middle and not at the door; and without the rules on rows,
    # which only read, and whose library takes longer than all of this.
    code = (
        "from pipelines.quality import gate, runner\n"
        "from pipelines.stores import releases, warehouse\n"
        "from tests.attacks.test_disk_full import main\n"
        "warehouse._require_free_space = lambda path: path.parent.mkdir(exist_ok=True)\n"
        "releases._require_free_space = lambda folder: None\n"
        "gate.check_rows = lambda frame, rules: tuple(runner.RuleOutcome(rule, ()) for rule in rules)\n"
        "main()"
    )

    child = subprocess.run(
        [sys.executable, "-c", code, str(folder / "home"), str(tmp_path / "store.db"), str(times), how],
        capture_output=True, text=True, check=False, cwd=PROJECT_ROOT,
    )  # fmt: skip

    assert child.returncode == 0, child.stderr[-2000:]
    outcomes = json.loads(child.stdout)
    full = [one for one in outcomes if one["outcome"] != "done"]
    assert [one for one in full if not one["outcome"].startswith("said: The ") or "free " not in one["outcome"]] == []
    assert all(one["is_served"] and not one["left"] and not one["damaged"] for one in outcomes)
    assert [one["recovered"] for one in outcomes] == [f"r{number:04d}-b" for number in range(1, times + 1)]
    assert all(one["orders"] == one["expected"] for one in outcomes)
    assert {one["at"] for one in full} == {"build", "publish"}
    tell(f"disk full ({how}): {times} runs, {len(full)} of them stopped by it, each release before stayed, all recovered on the next run")


def test_a_publisher_that_writes_over_what_is_served_loses_it(tmp_path: Path) -> None:
    """Bites: with one path written in place, the disk that becomes full takes the served release along."""
    code = (
        "import sys, duckdb\n"
        "from pathlib import Path\n"
        "from tests.attacks.test_disk_full import little_room\n"
        "path = sys.argv[1]\n"
        "def write(rows):\n"
        "    Path(path).unlink(missing_ok=True)\n"
        "    with duckdb.connect(path) as conn:\n"
        "        conn.execute(f'create table t as select hash(range) as x from range({rows})')\n"
        "write(1000)\n"
        "with little_room(Path(path).parent, how='limit', room=200_000):\n"
        "    try: write(1_000_000)\n"
        "    except duckdb.Error: pass\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "served.duckdb")], capture_output=True, check=False, cwd=PROJECT_ROOT)

    with pytest.raises(duckdb.Error), duckdb.connect(str(tmp_path / "served.duckdb"), read_only=True) as conn:
        conn.execute("select count(*) from t").fetchall()
