from __future__ import annotations

import json
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.app import main

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
    ["simulate", "import", "run", "metrics", "recommendations", "releases", "releases list", "releases rollback", "doctor", "dashboards", "dagster"],
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
