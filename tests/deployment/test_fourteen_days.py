"""Fourteen days with the real processes: a shop lives and changes, people decide, things break, and at the end every figure is true.

`ordercast serve` runs as at a merchant, on PostgreSQL, with the sensor on; the shop's database is behind a proxy that can go down, while
Dagster's own is not. With every test run it is four days and two breaks, with `--full` fourteen days and all five.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from playwright.sync_api import expect
from psycopg import sql

from pipelines.decisions.audit import verify
from pipelines.stores.releases import open_served, served_id
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine
from tests.attacks.tcp_proxy import CuttingProxy
from tests.conftest import database_url
from tests.dashboards.serving import browsing, needs_browser, settle
from tests.deployment.living_shop import SCENARIO, Asked, Commit, Shop, last_day, raised, resolved, true_values
from tests.deployment.running_platform import ALWAYS, Platform, Watch, running, wait_for
from tests.integration.receivers import SECRET, HttpReceiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE, REFRESH = "ordercast", "refresh"
SMALLEST: Final = 4 * 1024**2  # bytes that a file may have on the full disk: less than any release


@dataclass(frozen=True, slots=True)
class Plan:
    """How many days, and what happens on which."""

    days: int
    whole_runs: frozenset[int]
    breaks: dict[int, str]


SHORT = Plan(4, frozenset({2, 4}), {1: "a bad batch", 3: "a killed worker"})
FULL = Plan(
    14, frozenset({1, 4, 7, 10, 14}),
    {2: "a killed worker", 5: "a full disk", 8: "a source that is down", 11: "a bad batch", 13: "a schema change"},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Break:
    """Something that went wrong: what the channel was told while it lasted and once it was over, and the releases before and during it."""

    name: str
    subjects: tuple[str, ...]
    served_before: str | None
    served_during: str | None


@dataclass(slots=True)
class Life:
    """What happened in these days, and what stands at their end."""

    plan: Plan
    platform: Platform
    shop: Shop
    channel: HttpReceiver
    watch: Watch
    proxy: CuttingProxy
    seconds: list[float] = field(default_factory=list)  # from each day's commit to the release that holds it
    breaks: list[Break] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    ordered_stops: Counter[str] = field(default_factory=Counter)

    @property
    def releases(self) -> Path:
        return self.platform.home / "releases"

    def run_whole(self, *, day: int) -> None:
        """The day's whole run, and people who decide while it goes on."""
        run = self.platform.launch(WHOLE)
        people = threading.Thread(target=lambda: self.asked.extend(self.shop.decide_some(day=day)))
        people.start()
        assert self.platform.ended(run) == "SUCCESS"
        people.join()

    def refresh_by_hand(self) -> None:
        """What a person does who has mended the source and does not wait for the sensor's next try."""
        assert self.platform.ended(self.platform.launch(REFRESH)) == "SUCCESS"

    def fails(self, run: str) -> None:
        assert self.platform.ended(run) == "FAILURE"

    def wait_for_release(self, commit: Commit) -> float:
        """Seconds from the commit to the pointer of the first release seen that holds it."""
        return wait_for("the release that holds the day", lambda: self._pointed_at(commit), seconds=600) - commit.at

    def _pointed_at(self, commit: Commit) -> float | None:
        pointed = (self.releases / "CURRENT").stat().st_mtime
        with open_served(self.releases) as (_, conn):
            (position,) = conn.execute("SELECT position FROM meta.feed_state").fetchone() or (None,)
        return pointed if position and self.shop.is_in(commit, position) else None

    @contextmanager
    def broken(self, name: str) -> Iterator[None]:
        """In the block something is broken and the channel hears of it; afterwards it has been mended, and the channel hears of that too."""
        told, over, before = len(raised(self.channel)), len(resolved(self.channel)), served_id(self.releases)
        yield
        wait_for(f"the end of {name}", lambda: len(resolved(self.channel)) > over or None)
        subjects = tuple(one["title"] for one in raised(self.channel)[told:])
        self.breaks.append(Break(name, subjects, before, self._during))

    _during: str | None = None

    def is_told(self, name: str, count: int) -> None:
        """Returns once the channel was told of the break; what was served before still is."""
        wait_for(f"the message about {name}", lambda: len(raised(self.channel)) > count or None)
        self._during = served_id(self.releases)


def source_down(life: Life) -> None:
    told = len(raised(life.channel))
    with life.proxy.down():
        life.fails(life.platform.launch(WHOLE))
        life.is_told("the source that is down", told)
    life.run_whole(day=0)


def bad_batch(life: Life) -> None:
    told = len(raised(life.channel))
    with life.shop.bad_batch():
        life.is_told("the bad batch", told)
    life.refresh_by_hand()


def schema_change(life: Life) -> None:
    told = len(raised(life.channel))
    with life.shop.renamed_column():
        life.is_told("the schema change", told)
    life.refresh_by_hand()


def killed_worker(life: Life) -> None:
    """The worker of a whole run, in the middle of it; and, while nothing runs, the code server."""
    told = len(raised(life.channel))
    run = life.platform.launch(WHOLE)
    wait_for("the models being built", lambda: life.platform.steps(run).get("transform") == "IN_PROGRESS" or None)
    os.kill(wait_for("its worker", lambda: life.platform.worker(run)), signal.SIGKILL)
    life.fails(run)
    life.is_told("the killed worker", told)
    code = life.platform.process_id("code")
    os.kill(code, signal.SIGKILL)
    life.ordered_stops["code"] += 1
    wait_for("another code server", lambda: life.platform.process_id("code") not in {0, code} or None)
    wait_for("its answer", lambda: life.platform.says_healthy("code") or None)
    life.run_whole(day=0)


def full_disk(life: Life) -> None:
    told = len(raised(life.channel))
    with life.platform.little_room(SMALLEST):
        life.fails(life.platform.launch(WHOLE))
        life.is_told("the full disk", told)
    life.run_whole(day=0)


BREAKS: Final[dict[str, Callable[[Life], None]]] = {
    "a source that is down": source_down,
    "a bad batch": bad_batch,
    "a schema change": schema_change,
    "a killed worker": killed_worker,
    "a full disk": full_disk,
}


def live_through(life: Life) -> None:
    """All days, one after another, and what happens on them."""
    assert life.platform.ended(life.platform.launch(WHOLE)) == "SUCCESS"
    for day in range(1, life.plan.days + 1):
        life.seconds.append(life.wait_for_release(life.shop.live_a_day()))
        if name := life.plan.breaks.get(day):
            with life.broken(name):
                BREAKS[name](life)
        if day in life.plan.whole_runs:
            life.run_whole(day=day)


@pytest.fixture(scope="module")
def databases(postgresql_server: str) -> Iterator[tuple[str, str]]:
    """The addresses of two empty databases: the shop's and Dagster's."""
    names = [f"{what}_{uuid.uuid4().hex[:8]}" for what in ("shop", "dagster")]
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        for name in names:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    shop, dagster = (database_url(postgresql_server, name) for name in names)
    yield shop, dagster
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        for name in names:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def life(databases: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Life]:
    """The days are over; all processes still run."""
    plan = FULL if request.config.getoption("--full") else SHORT
    shop, dagster = Shop(databases[0]), databases[1]
    shop.fill()
    # Not below pytest's own folder: a socket's path may have about a hundred characters.
    with (
        tempfile.TemporaryDirectory(prefix="ordercast-days-", ignore_cleanup_errors=True) as home,
        http_receiver() as channel,
        CuttingProxy(shop.url, seed=1, before=0, after=0, anywhere=0) as proxy,
    ):
        environment = {
            "ORDERCAST_STORE_URL": proxy.url, "ORDERCAST_DAGSTER_STORE_URL": dagster, "ORDERCAST_RUNS_BY_ITSELF": "true",
            "ORDERCAST_OUTBOX_TARGET": "webhook", "ORDERCAST_WEBHOOK_URL": channel.url, "ORDERCAST_WEBHOOK_SECRET": SECRET,
        }  # fmt: skip
        with running(Path(home), environment) as platform:
            platform.switch_off_schedules()
            with Watch(platform) as watch:
                life = Life(plan, platform, shop, channel, watch, proxy)
                live_through(life)
                yield life


def test_every_day_comes_by_itself(life: Life, tell: Callable[[str], None]) -> None:
    lines = [f"{seconds:.1f}" for seconds in life.seconds]

    tell(
        f"{life.plan.days} days: seconds from commit to release {' '.join(lines)}; median {median(life.seconds):.1f}, most {max(life.seconds):.1f}"
    )
    runs = Counter((run["jobName"], run["status"]) for run in life.platform.runs())
    tell(f"runs: {', '.join(f'{job} {status.lower()} {count}' for (job, status), count in sorted(runs.items()))}")
    assert len(life.seconds) == life.plan.days


def test_every_break_is_told_once_and_is_over_by_itself(life: Life, tell: Callable[[str], None]) -> None:
    told, over = raised(life.channel), resolved(life.channel)
    exceptions = {row["exception_id"]: row for row in life.shop.rows("exception") if row["rule_id"] == "run-failed"}

    for one in life.breaks:
        tell(f"{one.name}: told as {', '.join(one.subjects)}")
    assert [one.name for one in life.breaks] == list(life.plan.breaks.values())
    assert [len(one.subjects) for one in life.breaks] == [1] * len(life.plan.breaks)
    assert Counter(one["exception_id"] for one in told) == Counter(list(exceptions))
    assert Counter(one["exception_id"] for one in over) == Counter(list(exceptions))
    assert {row["resolution_code"] for row in exceptions.values()} == {"recovered"}
    assert max(Counter(life.channel.keys).values()) == 1


def test_what_was_served_stays_while_something_is_broken(life: Life) -> None:
    assert [one.served_during for one in life.breaks] == [one.served_before for one in life.breaks]


@needs_browser
def test_a_browser_is_shown_the_last_release(life: Life) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{life.platform.pages_port}")
        expect(page.get_by_test_id("stMetric")).to_have_count(6)
        settle(page)
        wrong = page.get_by_test_id("stException").count()

    assert wrong == 0


def test_the_pages_answer_all_the_time(life: Life, tell: Callable[[str], None]) -> None:
    log = (life.platform.home / "logs" / "processes" / "pages.log").read_text(encoding="utf-8")

    tell(f"pages: {life.watch.looks:,} looks, {len(life.watch.missed)} without an answer")
    assert life.watch.missed == []
    assert "Traceback" not in log
    assert "Error" not in log


def test_no_process_was_started_again_but_the_killed_one(life: Life) -> None:
    assert life.platform.starts() == {name: 1 + life.ordered_stops[name] for name in ALWAYS} | {"pages-next": 0}


def test_the_warehouse_has_every_row_of_the_shop(life: Life) -> None:
    with open_warehouse(life.platform.home / "warehouse.duckdb", read_only=True) as conn:
        held = dict(
            conn.execute("SELECT table_name, count(*) FROM quarantine.document_rows WHERE resolved_run_id IS NULL GROUP BY 1").fetchall()
        )
        found = {name: conn.execute(f'SELECT count(*) FROM raw."{name}"').fetchall()[0][0] + held.get(name, 0) for name in SOURCE_TABLES}

    assert found == {name: life.shop.count_rows(name) for name in SOURCE_TABLES}
    assert found["orders"] > 2_000


def test_metrics_are_what_the_simulator_knows(life: Life) -> None:
    ordercast = CommandLine(life.platform.home, life.shop.url)
    expected = true_values(life.plan.days)

    said = {
        name: ordercast.json("metrics", name, "--from", SCENARIO.start.isoformat(), "--to", last_day(life.plan.days).isoformat())[0]
        for name in expected
    }

    assert {one["as_of"] for one in said.values()} == {last_day(life.plan.days).isoformat()}
    assert {name: one["value"] for name, one in said.items()} == {name: pytest.approx(value, rel=1e-9) for name, value in expected.items()}


def test_every_decision_has_one_effect(life: Life, tell: Callable[[str], None]) -> None:
    stored = Counter(row["decision_id"] for row in life.shop.rows("decision"))
    lines = Counter(row["source_rec_id"] for row in life.shop.rows("purchase_order_lines") if row["source_rec_id"])
    approved = {row["rec_id"] for row in life.shop.rows("decision") if row["outcome"] == "approved"}
    made = [one for one in life.asked if not isinstance(one.answers[0], str)]

    tell(f"decisions: {len(life.asked)} asked twice each, {len(made)} made, {len(approved)} orders drafted")
    assert approved
    assert all(first == second for first, second in (one.answers for one in life.asked))
    assert stored == Counter(one.request.decision_id for one in made)
    assert lines == Counter(list(approved))
    with life.shop.open() as store:
        assert verify(store).problems == ()


def test_pages_are_replaced_without_a_moment_without_pages(life: Life) -> None:
    platform = life.platform
    with Watch(platform) as watch:
        platform.supervisor("start", "pages-next")
        wait_for("the new pages", lambda: platform.is_answered(platform.pages_port + 1, "/_stcore/health") or None)
        platform.supervisor("stop", "pages")
        is_gone = not platform.is_answered(platform.pages_port, "/_stcore/health")
        time.sleep(2)

    assert is_gone
    assert watch.looks > 10
    assert watch.missed == []
