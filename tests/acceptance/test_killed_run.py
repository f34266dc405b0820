"""A run that is killed at any step leaves nothing that the next run does not put right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.conftest import CommandLine

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


def end_when(ordercast: CommandLine, sign: str, how: signal.Signals) -> tuple[int, str]:
    """Start a run and send it and its children a signal as soon as it has said `sign`; its exit code and what it said after."""
    command = [str(Path(sys.executable).with_name("ordercast")), "run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
    run = subprocess.Popen(
        command, env=environment | {"ORDERCAST_HOME": str(ordercast.home)}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith(sign):
            time.sleep(0.3)  # well into the step that follows
            os.killpg(run.pid, how)
            break
    rest = run.stderr.read()
    run.stderr.close()
    return run.wait(), rest


def kill_when(ordercast: CommandLine, sign: str) -> None:
    code, _ = end_when(ordercast, sign, signal.SIGKILL)

    assert code == -signal.SIGKILL


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    ordercast = CommandLine(tmp_path_factory.mktemp("undisturbed") / "home")
    ordercast("simulate", "--scenario", "small", "--seed", "5")
    ordercast("run")
    return ordercast


def test_a_run_killed_twice_ends_like_one_that_was_never_disturbed(undisturbed: CommandLine, tmp_path: Path) -> None:
    ordercast = CommandLine(tmp_path / "home")
    ordercast("simulate", "--scenario", "small", "--seed", "5")
    shutil.copy(undisturbed.home / "customer_key.secret", ordercast.home)  # else the same customer has another key

    kill_when(ordercast, "Ingest what changed")  # dies while models are built
    kill_when(ordercast, "Recommend orders")  # dies while the release is published
    ordercast("run")

    expected = contents(undisturbed.home / "warehouse.duckdb")
    found = contents(ordercast.home / "warehouse.duckdb")
    assert {name: found[name] for name in expected if name.startswith(("raw.", "marts."))} == {
        name: value for name, value in expected.items() if name.startswith(("raw.", "marts."))
    }
    assert len(ordercast.json("recommendations")) == len(undisturbed.json("recommendations"))
    assert all(release["is_served"] == (index == 0) for index, release in enumerate(ordercast.json("releases", "list")))


def test_an_interrupt_ends_the_run_with_its_own_code_and_one_sentence(undisturbed: CommandLine) -> None:
    code, said = end_when(undisturbed, "Ingest what changed", signal.SIGINT)

    assert code == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
