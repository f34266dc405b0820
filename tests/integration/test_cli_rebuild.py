"""`ordercast rebuild` says the same, what differs, or what is gone; its exit code tells which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.stores.operational import OperationalStore
from tests.integration.small_release import RUN_ID, publish_small_release
from tests.integration.test_cli import Terminal
from tests.integration.test_rebuild import RULE, arrange, change

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.releases import Release


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Release:
    home = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
    return publish_small_release(home, rules=[RULE], arrange=arrange)


@pytest.fixture
def ordercast(release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


def test_the_same_is_said_with_its_sha256(ordercast: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVEL", "0.6")  # the release's settings count, not those of today

    code, out, _ = ordercast("rebuild", "2025-06-30")
    told = ordercast.json("rebuild", RUN_ID[:8])

    assert code == 0
    assert f"Run {RUN_ID}, as of 2025-06-30: the same, sha256 {told['sha256']} (16 tables, " in out
    assert told["is_same"]
    assert told["run"]["settings"]["service_level"] == 0.95
    assert {table["table"] for table in told["tables"] if table["is_same"]} >= {"recommendations", "forecast_daily", "order_choices"}


def test_what_differs_is_named_with_exit_code_5(ordercast: Terminal, release: Release) -> None:
    change(
        release,
        "UPDATE planning.silent_items SET reason = 'Other.' WHERE sku = 'gone'",
        'UPDATE planning.planning_run SET code = json_merge_patch(code, \'{"polars": "1.0.0"}\')',
    )

    code, out, _ = ordercast("rebuild", RUN_ID)

    assert code == 5
    assert f"Run {RUN_ID}, as of 2025-06-30: 1 of 16 tables differ." in out
    assert "differs in: reason 1." in out
    assert "sku gone, location_id main: reason was Other., is " in out
    assert "polars was 1.0.0, is " in out
    assert "The differences may come from that" in out


def test_what_is_gone_is_refused_with_exit_code_3(ordercast: Terminal, release: Release) -> None:
    change(release, "DROP TABLE marts.fct_inbound")

    code, out, error = ordercast("rebuild", RUN_ID)

    assert (code, out) == (3, "")
    assert f"Release {RUN_ID} does not hold marts.fct_inbound" in error


def test_an_exact_run_needs_no_store(ordercast: Terminal, release: Release) -> None:
    for file in release.path.parents[1].glob("store.db*"):
        file.unlink()

    code, out, _ = ordercast("rebuild", RUN_ID)

    assert code == 0
    assert "the same" in out


def test_who_takes_the_tables_out_is_recorded(ordercast: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ann")
    ordercast("rebuild", RUN_ID, "--to", str(tmp_path / "out"))

    with (
        OperationalStore.open(f"sqlite:///{tmp_path / 'home' / 'store.db'}", is_read_only=True) as store,
        store.transaction(writes=False) as conn,
    ):
        rows = conn.exec_driver_sql("SELECT object_type, rows_count FROM access_log").fetchall()

    assert [row[0] for row in rows] == ["rebuild"]
    assert (tmp_path / "out" / "recommendations.jsonl").exists()
