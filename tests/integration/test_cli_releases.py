"""What commands say of a release that is damaged, or that is not the one the suggestions come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import open_shop
from tests.integration.test_cli import Terminal, publish_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "400")
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def shop(home: Path) -> Iterator[OperationalStore]:
    """Two suggestions, proposed by run r1."""
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
        open_shop(store)
        yield store


def test_suggestions_name_their_run_and_nothing_else_where_its_release_is_served(
    ordercast: Terminal, shop: OperationalStore, home: Path
) -> None:
    publish_one(home, "r1")

    _, out, _ = ordercast("recommendations")
    rows = ordercast.json("recommendations")

    assert "Proposed by run r1 with the data of 2026-06-30." in out
    assert "another one" not in out
    assert {(row["last_run_id"], row["served_release_id"]) for row in rows} == {("r1", "r1")}


def test_after_a_rollback_suggestions_say_that_metrics_come_from_an_older_release(
    ordercast: Terminal, shop: OperationalStore, home: Path
) -> None:
    publish_one(home, "r0")
    publish_one(home, "r1")
    ordercast("releases", "rollback")

    _, out, _ = ordercast("recommendations")
    rows = ordercast.json("recommendations")

    assert "The served release is another one, r0: metrics and pages show that. `ordercast releases rollback r1` serves" in out
    assert {(row["last_run_id"], row["served_release_id"]) for row in rows} == {("r1", "r0")}


def test_suggestions_of_a_run_whose_release_is_gone_ask_for_a_run(ordercast: Terminal, shop: OperationalStore, home: Path) -> None:
    publish_one(home, "r0")

    _, out, _ = ordercast("recommendations")

    assert "The served release is another one, r0: metrics and pages show that. `ordercast run` brings both together." in out


def test_a_damaged_release_is_refused_before_a_number_of_it_is_shown(ordercast: Terminal, home: Path) -> None:
    publish_one(home, "20261101T060000-aaaaaa")
    with publish_one(home, "20261102T060000-bbbbbb").path.open("r+b") as file:
        file.seek(5000)
        file.write(b"x")

    code, out, err = ordercast("report")
    _, said, _ = ordercast("doctor")
    _, back, _ = ordercast("releases", "rollback")
    _, _, err_after = ordercast("report")

    assert (code, out) == (3, "")
    assert "The file of release 20261102T060000-bbbbbb is damaged (its sha256 differs from the manifest)" in err
    assert "`ordercast releases rollback` serves the newest one that is whole" in err
    assert "20261102T060000-bbbbbb is damaged" in said
    assert "Served is now 20261101T060000-aaaaaa" in back
    assert "is damaged" not in err_after
