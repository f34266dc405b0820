from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from rich.console import Console

from pipelines.cli.app import main
from pipelines.cli.display import import_report
from pipelines.simulator.merchant import simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.steps.import_report import FileCounts, ImportNote, ImportReport, RejectedRow
from pipelines.stores.change_feed import feed_health, install_feed, read_changes
from pipelines.stores.operational import Merchant, OperationalStore
from pipelines.stores.releases import Release, ReleaseFacts, publish
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from pathlib import Path


class Terminal:
    """The command line in this process: exit code and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal(monkeypatch, capsys)


@pytest.mark.parametrize(
    "command",
    [
        "simulate",
        "import",
        "connect",
        "run",
        "refresh",
        "backfill",
        "metrics",
        "targets",
        "targets list",
        "targets set",
        "targets remove",
        "baseline",
        "baseline freeze",
        "baseline review",
        "baseline list",
        "report",
        "timeline",
        "experiment",
        "forecast",
        "backtest",
        "replay",
        "what-if",
        "sourcing",
        "promises",
        "recommendations",
        "quarantine",
        "quarantine show",
        "quarantine mend",
        "quarantine unmend",
        "quarantine mends",
        "quarantine accept",
        "quarantine requeue",
        "releases",
        "releases list",
        "releases rollback",
        "doctor",
        "dashboards",
        "dagster",
    ],
)
def test_every_command_explains_itself(ordercast: Terminal, command: str) -> None:
    code, out, _ = ordercast(*command.split(), "--help")

    assert code == 0
    assert "Usage" in out


def test_a_run_without_a_store_says_how_to_get_one(ordercast: Terminal) -> None:
    code, _, err = ordercast("run")

    assert code == 4
    assert "ordercast simulate" in err
    assert len(err.strip().splitlines()) == 1


def test_reading_before_the_first_run_says_what_to_run(ordercast: Terminal) -> None:
    code, _, err = ordercast("metrics")

    assert code == 3
    assert "ordercast run" in err


def test_an_unreachable_database_is_one_sentence_without_its_password(ordercast: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", "postgresql://shop:hunter2@127.0.0.1:1/shop")

    code, out, err = ordercast("recommendations")

    assert code == 4
    assert "hunter2" not in out + err
    assert "127.0.0.1" in err


def test_a_file_that_is_no_database_is_refused(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store.db").write_text("this is a letter and not a database\n" * 100)

    code, _, err = ordercast("run")

    assert code == 4
    assert "store.db" in err


def test_an_unknown_setting_refuses_to_start(ordercast: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LVEL", "0.9")

    code, _, err = ordercast("doctor")

    assert code == 2
    assert "did you mean ORDERCAST_SERVICE_LEVEL" in err


def test_an_unknown_mapping_is_answered_with_the_known_ones(ordercast: Terminal, tmp_path: Path) -> None:
    code, _, err = ordercast("import", "olits", str(tmp_path))

    assert code == 3
    assert "olist" in err
    assert "online_retail" in err


def test_a_simulated_merchant_is_never_laid_over_another(ordercast: Terminal) -> None:
    counts = ordercast.json("simulate", "--scenario", "small")
    code, _, err = ordercast("simulate", "--scenario", "small")

    assert counts["rows"]["orders"] > 1_000
    assert code == 3
    assert "already holds a merchant" in err


def test_make_runs_simulation_leaves_a_store_alone_and_fills_an_empty_one(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    sqlite3.connect(tmp_path / "home" / "store.db").close()

    filled = ordercast.json("simulate", "--scenario", "small", "--if-missing")
    code, _, err = ordercast("simulate", "--if-missing")

    assert filled["rows"]["orders"] > 1_000
    assert code == 0
    assert "stands already" in err


def test_the_doctor_names_what_is_missing_and_ends_with_its_own_code(ordercast: Terminal) -> None:
    code, out, _ = ordercast("doctor")

    assert code == 5
    assert "Operational store" in out
    assert "ordercast simulate" in out


def test_a_merchants_own_database_is_connected_once_and_then_watched(
    ordercast: Terminal, store: OperationalStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    tables = simulate(SCENARIOS["small"], seed=1).tables
    store.create_source_tables({name: tables[name].columns for name in ("orders", "order_lines")})
    store.append("orders", tables["orders"])

    code, out, err = ordercast("connect", "--name", "Corner shop", "--time-zone", "Europe/Berlin", "--currency", "EUR")
    with read_changes(store, since=None) as first:
        position = first.position
    store.append("order_lines", tables["order_lines"].head(3))
    with read_changes(store, since=position) as second:
        changed = second.changed_keys("order_lines").num_rows

    assert code == 0, err
    assert "Corner shop" in out
    assert (second.is_full_resync, changed) == (False, 3)


def test_reconcile_mends_what_changed_past_the_feed_and_says_so_by_its_exit_code(
    ordercast: Terminal, sqlite_url: str, tmp_path: Path
) -> None:
    with OperationalStore.open(sqlite_url) as store:
        store.create_source_tables({name: SOURCE_TABLES[name].required_fields for name in ("products", "orders", "order_lines")})
        with store.transaction() as conn:
            conn.exec_driver_sql("INSERT INTO orders (order_id, created_at, currency) VALUES ('O1', '2026-03-01 10:00:00', 'EUR')")
        install_feed(store)
        store.save_merchant(Merchant("m1", "Corner Shop", "Europe/Berlin", "EUR", "simulator:test:1"))
    (tmp_path / "home").mkdir()
    shutil.copy(tmp_path / "store.db", tmp_path / "home" / "store.db")

    first = ordercast("reconcile", "--json")
    with sqlite3.connect(tmp_path / "home" / "store.db") as conn:
        (text,) = conn.execute("SELECT sql FROM sqlite_master WHERE name = 'feed_orders_update'").fetchone()
        conn.execute("DROP TRIGGER feed_orders_update")
        conn.execute("UPDATE orders SET currency = 'USD'")
        conn.execute(text)
    conn.close()
    code, out, err = ordercast("reconcile")
    again = ordercast("reconcile", "--json")

    assert (first[0], json.loads(first[1])["is_full_resync"]) == (0, True), first
    assert code == 5, err
    assert "orders of 2026-03-01: 0 missing, 1 stale, 0 gone from the store; read again." in out
    assert again[0] == 0
    assert {one["table_name"]: one["rows_compared"] for one in json.loads(again[1])["tables"]} == {
        "products": 0,
        "orders": 1,
        "order_lines": 0,
    }
    assert json.loads(again[1])["block_reason"] is None


def test_a_database_that_is_connected_without_triggers_has_none_and_doctor_says_so(
    ordercast: Terminal, store: OperationalStore, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    store.create_source_tables({name: SOURCE_TABLES[name].required_fields for name in ("orders", "order_lines")})

    code, out, _ = ordercast("connect", "--name", "Shop", "--time-zone", "Europe/Berlin", "--currency", "EUR", "--no-triggers")
    _, said, _ = ordercast("doctor")

    assert (code, feed_health(store).unwatched) == (0, ["order_lines", "orders"])
    assert "may miss rows until reconcile" in out
    assert "no triggers on order_lines, orders: may miss rows until reconcile" in " ".join(said.split())


def test_a_store_that_was_never_prepared_is_read_without_a_traceback(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    sqlite3.connect(tmp_path / "home" / "store.db").close()

    doctor_code, out, _ = ordercast("doctor")
    code, _, _ = ordercast("recommendations")

    assert doctor_code == 5
    assert "orders lacks" in out
    assert code == 0


def test_a_home_that_is_a_file_is_one_sentence(ordercast: Terminal, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")

    code, _, err = ordercast("simulate", "--scenario", "small")

    assert code == 3
    assert "home" in err


def test_a_second_run_at_the_same_time_is_refused(ordercast: Terminal, tmp_path: Path) -> None:
    assert ordercast("simulate", "--scenario", "small")[0] == 0
    with (tmp_path / "home" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        code, _, err = ordercast("run")

    assert code == 4
    assert "Another run is at work" in err


def publish_one(home: Path, release_id: str) -> Release:
    facts = ReleaseFacts(release_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema marts")
        conn.execute("create table marts.fct_orders as select 1 as order_id")
        return publish(conn, home / "releases", facts=facts, catalogue="{}", keep=5)


def test_a_served_release_that_is_gone_is_named_beside_those_that_are_kept(ordercast: Terminal, tmp_path: Path) -> None:
    publish_one(tmp_path / "home", "20261101T060000-aaaaaa")
    publish_one(tmp_path / "home", "20261102T060000-bbbbbb").path.unlink()

    code, out, _ = ordercast("releases", "list")
    as_json = ordercast.json("releases", "list")
    back, told, _ = ordercast("releases", "rollback")

    assert code == 0
    assert "20261101T060000-aaaaaa" in out
    assert "The served release 20261102T060000-bbbbbb is missing, so nothing can be read: ordercast releases rollback" in out
    assert [(release["release_id"], release["is_served"]) for release in as_json] == [("20261101T060000-aaaaaa", False)]
    assert back == 0
    assert "Served is now 20261101T060000-aaaaaa" in told


def test_the_only_release_that_is_gone_is_not_called_unpublished(ordercast: Terminal, tmp_path: Path) -> None:
    publish_one(tmp_path / "home", "20261101T060000-aaaaaa").path.unlink()

    _, out, _ = ordercast("releases", "list")

    assert "20261101T060000-aaaaaa is missing, so nothing can be read: ordercast run." in out


def test_an_import_tells_in_80_columns_why_rows_were_left_out() -> None:
    console = Console(width=80, record=True, force_terminal=False)
    file = "olist_order_payments_dataset_of_the_last_three_years.csv"
    message = f'E201 {file} line 7 price: is not a number, got "[b]x"; the row was left out'
    report = ImportReport(
        mapping="shop", merchant="Shop", folder="exports",
        files=(FileCounts(file, "0" * 64, 1_000_163, 1_000_100, {"service_codes": 60}, {"write_offs": 1}, 1, 1),), tables=(),
        rules={"service_codes": "no goods", "write_offs": "stock that was lost"}, return_match_basis={"matched": 3},
        warnings=(ImportNote("extra", 1, "The file has a column [id] more."),),
        rejected_examples=(RejectedRow(file, 7, "price", "E201", message),), files_not_mapped=("notes.csv",),
    )  # fmt: skip

    import_report(console, report, seconds=1.5)

    lines = console.export_text().splitlines()
    said = "".join(line.strip().replace(" ", "") for line in lines)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    for part in (message, "60 rows, service_codes: no goods", "1 rows, write_offs", "a column [id] more", "3 matched", "notes.csv"):
        assert part.replace(" ", "") in said
    assert all(count in " ".join(lines) for count in ("1,000,163", "1,000,100"))
