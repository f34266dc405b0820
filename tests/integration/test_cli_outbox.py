from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.app import main
from pipelines.cli.doctor import examine
from pipelines.cli.running import _become
from pipelines.decisions.messages import message_key
from pipelines.decisions.service import decide
from pipelines.delivery.folder import Folder
from pipelines.settings import Settings, load_settings
from pipelines.steps.write_back import _deliver
from tests.integration.decision_shop import NOW, ORDER_TABLES, change_shop, open_shop, request
from tests.integration.receivers import SECRET, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore

    Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ordercast(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line on a store with two messages, and a folder `drop` as their target."""
    (tmp_path / "drop").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": "home", "STORE_URL": sqlite_url, "OUTBOX_TARGET": "folder", "OUTBOX_FOLDER": "drop"}.items():
        monkeypatch.setenv(f"ORDERCAST_{name}", value)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def store(sqlite_url: str) -> Any:
    from pipelines.stores.operational import OperationalStore

    with OperationalStore.open(sqlite_url) as opened:
        for number, rec_id in enumerate(open_shop(opened, without=ORDER_TABLES)):
            decide(opened, request(rec_id, decision_id=f"d-{number}"), now=NOW)
        yield opened


def test_the_outbox_is_listed_delivered_and_then_empty(ordercast: Command, store: OperationalStore, tmp_path: Path) -> None:
    _, before, _ = ordercast("outbox", "--json")
    code, said, _ = ordercast("outbox", "deliver")
    _, after, _ = ordercast("outbox")
    _, whole, _ = ordercast("outbox", "--all")

    assert [(one["state"], one["attempts"]) for one in json.loads(before)] == [("pending", 0), ("pending", 0)]
    assert (code, "2 sent" in said) == (0, True)
    assert sorted(file.name for file in (tmp_path / "drop").iterdir()) == sorted(f"{message_key(f'd-{n}')}.csv" for n in range(2))
    assert after == "Nothing waits in the outbox.\n"
    assert whole.count("sent") == 2


def test_delivering_says_by_its_code_that_something_is_tried_again(ordercast: Command, store: OperationalStore, tmp_path: Path) -> None:
    (tmp_path / "drop").rmdir()

    code, said, _ = ordercast("outbox", "deliver")
    _, listed, _ = ordercast("outbox")

    assert (code, "1 put off" in said) == (4, True)
    assert "cannot be written: No such file or directory" in listed


def test_a_person_settles_and_resends_by_the_beginning_of_the_key(ordercast: Command, store: OperationalStore) -> None:
    change_shop(store, "UPDATE outbox SET state = 'unknown', is_in_doubt = 1")
    first, second = (message_key(f"d-{number}")[:10] for number in range(2))

    _, settled, _ = ordercast("outbox", "settle", first, "--not-delivered", "--actor", "ann")
    _, resent, _ = ordercast("outbox", "resend", second, "--actor", "ann")
    refused, _, why = ordercast("outbox", "settle", first, "--delivered", "--actor", "vic")

    assert "is dead from now on" in settled
    assert "is due now" in resent
    assert (refused, "takes a planner" in why) == (3, True)


def test_without_a_target_delivering_says_which_setting_is_missing(
    ordercast: Command, store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORDERCAST_OUTBOX_TARGET")

    code, _, why = ordercast("outbox", "deliver")

    assert (code, "ORDERCAST_OUTBOX_TARGET names no target" in why) == (2, True)


def test_the_doctor_and_the_run_name_what_waits_for_a_person(
    ordercast: Command, store: OperationalStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_shop(store, "UPDATE outbox SET state = 'unknown' WHERE decision_id = 'd-0'")
    target = Folder(tmp_path / "drop", "csv")

    with caplog.at_level("INFO", logger="ordercast"):
        delivered = _deliver(store, target, 3)
        _deliver(store, None, 3)
    (found,) = [one for one in examine(load_settings()) if one.subject == "Outbox"]

    said = [record.getMessage() for record in caplog.records if record.name == "ordercast.write_back"]
    assert delivered == "1 sent"
    assert said[0] == "Messages that wait for a person: 1 unknown; see ordercast outbox."
    assert "ORDERCAST_OUTBOX_TARGET names no target" in said[1]
    assert (found.is_fine, found.detail) == (False, "messages wait for a person: 1 unknown.")


def test_a_secret_reaches_the_receiver_from_the_settings_and_nobody_else(
    ordercast: Command, store: OperationalStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with http_receiver([500, 200]) as web:
        for name, value in {"OUTBOX_TARGET": "webhook", "WEBHOOK_URL": web.url, "WEBHOOK_SECRET": SECRET}.items():
            monkeypatch.setenv(f"ORDERCAST_{name}", value)
        with caplog.at_level("DEBUG"):
            code, said, _ = ordercast("outbox", "deliver", "--json")
        _, listed, _ = ordercast("outbox", "--json")

    assert (code, json.loads(said)["sent"], len(web.requests)) == (4, 1, 2)
    assert SECRET[6:] not in said + listed + caplog.text + repr(load_settings())


def test_a_page_server_gets_secrets_and_paths_that_it_can_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ORDERCAST_WEBHOOK_SECRET", "ORDERCAST_OUTBOX_FOLDER", "ORDERCAST_HOME", "ORDERCAST_STORE_URL"):
        monkeypatch.setenv(name, "-")  # put back when the test is over
    monkeypatch.setenv("ORDERCAST_CONFIG", "")
    became: dict[str, str] = {}
    monkeypatch.setattr("os.execv", lambda *_arguments: became.update(__import__("os").environ))
    settings = Settings(webhook_secret=SECRET, outbox_folder="drop", home="home", store_url="sqlite:///x.db")

    _become(settings, ["nothing"])

    assert (became["ORDERCAST_WEBHOOK_SECRET"], became["ORDERCAST_OUTBOX_FOLDER"]) == (SECRET, str(tmp_path / "drop"))
