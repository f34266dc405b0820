"""A run that is killed at any step leaves nothing that the next run does not put right."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import duckdb
import pytest

from pipelines.stores.releases import current_release, is_intact, list_releases
from tests.acceptance import warm_start
from tests.acceptance.conftest import CommandLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Size

# What a run says as each of these steps ends; it dies in the one after, the next run in a later one.
SIGNS = ["Ingest what changed", "Build and test models", "Gather demand", "Recommend orders", "Publish a release"]
# Times and ids of a run differ from run to run and are no part of what it says about the merchant.
RUN_FACTS = {"run_context", "ingest_counts", "feed_state", "check_results", "release_facts", "document_rows"}


def contents(path: Path) -> dict[str, tuple[int, int]]:
    """Rows and an order-free hash of every table of a DuckDB file."""
    with duckdb.connect(str(path), read_only=True) as conn:
        tables = conn.execute(
            "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE' order by all"
        ).fetchall()
        return {
            f"{schema}.{table}": conn.execute(f'select count(*), sum(hash(t)::hugeint) from {schema}."{table}" as t').fetchone()
            for schema, table in tables
            if table not in RUN_FACTS
        }  # type: ignore[return-value]


def end_when(ordercast: CommandLine, sign: str, how: signal.Signals, *, after: float) -> tuple[int, str]:
    """Start a run and send it and its children a signal some seconds after it said `sign`; its exit code and what it said after."""
    with tempfile.TemporaryDirectory(prefix="ordercast-said-") as folder:
        said = Path(folder, "errors")
        os.mkfifo(said)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
        run = warm_start.start(
            ["run"],
            environment=environment | {"ORDERCAST_HOME": str(ordercast.home)},
            folder=Path.cwd(),
            output=Path(os.devnull),
            errors=said,
        )
        with said.open(encoding="utf-8") as lines:
            rest = kill_after(lines, sign, lambda: os.killpg(run.process_id, how), after=after)
        return run.wait(), rest


def kill_after(lines: IO[str], sign: str, kill: Callable[[], None], *, after: float) -> str:
    """What was said after `sign`, some seconds after which `kill` was called."""
    for line in lines:
        if line.startswith(sign):
            threading.Event().wait(after)  # well into the step that follows
            kill()
            break
    return lines.read()


def assert_that_no_release_is_partial(home: Path) -> None:
    releases = list_releases(home / "releases")
    served = current_release(home / "releases")
    assert served is None or served.release_id in {release.release_id for release in releases}
    assert all(is_intact(release) for release in releases)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    ordercast = CommandLine(tmp_path_factory.mktemp("undisturbed") / "home")
    ordercast("simulate", "--scenario", "small", "--seed", "5")
    ordercast("run")
    return ordercast


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_never_disturbed(
    undisturbed: CommandLine, tmp_path: Path, size: Size, tell: Callable[[str], None]
) -> None:
    ordercast, chance, codes = CommandLine(tmp_path / "home"), random.Random(5), []
    ordercast("simulate", "--scenario", "small", "--seed", "5")
    shutil.copy(undisturbed.home / "customer_key.secret", ordercast.home)  # else the same customer has another key

    for number in range(size(small=5, full=30)):
        sign = SIGNS[number] if number < len(SIGNS) else chance.choice(SIGNS)
        codes.append(end_when(ordercast, sign, signal.SIGKILL, after=chance.uniform(0, 0.4))[0])
        assert_that_no_release_is_partial(ordercast.home)
    ordercast("run")

    expected = contents(undisturbed.home / "warehouse.duckdb")
    found = contents(ordercast.home / "warehouse.duckdb")
    tell(f"whole run: killed {codes.count(-signal.SIGKILL)} times of {len(codes)}, {len(expected)} tables compared with an undisturbed run")
    assert {name: found[name] for name in expected if name.startswith(("raw.", "marts."))} == {
        name: value for name, value in expected.items() if name.startswith(("raw.", "marts."))
    }
    assert len(ordercast.json("recommendations")) == len(undisturbed.json("recommendations"))
    assert all(release["is_served"] == (index == 0) for index, release in enumerate(ordercast.json("releases", "list")))
    assert set(codes[:-1]) == {-signal.SIGKILL}  # the last may have ended before


def test_an_interrupt_ends_the_run_with_its_own_code_and_one_sentence(undisturbed: CommandLine) -> None:
    command = [str(Path(sys.executable).with_name("ordercast")), "run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
    home = {"ORDERCAST_HOME": str(undisturbed.home)}
    with subprocess.Popen(command, env=environment | home, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        said = kill_after(run.stderr, "Ingest what changed", lambda: os.killpg(run.pid, signal.SIGINT), after=0.3)

    assert run.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
