"""Fourteen days with the real processes: a shop lives and changes, people decide, things break, and at the end every figure is true.

`ordercast serve` runs as at a merchant, on PostgreSQL, with the sensor on; the shop's database is behind a proxy that can go down, while
Dagster's own is not. With every test run it is two days and one break, with `--full` fourteen days and all five.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psycopg
import pytest
from playwright.sync_api import expect
from psycopg import sql

from pipelines.decisions.audit import verify
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine
from tests.attacks.tcp_proxy import CuttingProxy
from tests.conftest import database_url
from tests.dashboards.serving import browsing, needs_browser, settle
from tests.deployment.days import FULL, SHORT, Life, live_through
from tests.deployment.living_shop import SCENARIO, Shop, last_day, raised, resolved, true_values
from tests.deployment.running_platform import ALWAYS, Watch, running, wait_for
from tests.integration.receivers import SECRET, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def test_every_break_is_told_once_and_is_over_once_it_is_mended(life: Life, tell: Callable[[str], None]) -> None:
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
        expect(page.get_by_test_id("stMetric").nth(5)).to_be_visible()
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
    assert life.platform.starts() == {name: 1 + life.kills[name] for name in ALWAYS} | {"pages-next": 0}


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
