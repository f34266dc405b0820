"""`ordercast alerts` as a person uses it, and what alerts look like in a mail and in a file."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.cli.app import main
from pipelines.decisions.roles import Operator, set_operator
from pipelines.delivery.folder import Folder
from pipelines.delivery.mail import Mailbox
from pipelines.delivery.message import Message
from pipelines.delivery.outbox import deliver
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import rows_of
from tests.integration.small_release import publish_small_release
from tests.integration.test_alerts import CUP, NOW, TEA, look

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ordercast(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line on a store with two exceptions, which ada (admin) and pam (planner) look after."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"ORDERCAST_HOME": "home", "ORDERCAST_STORE_URL": sqlite_url, "COLUMNS": "300"}.items():
        monkeypatch.setenv(name, value)
    with OperationalStore.open(sqlite_url) as store:
        for actor, role in (("ada", "admin"), ("pam", "planner")):
            set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
        look(store, TEA, CUP)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_exceptions_are_listed_worst_first_handled_and_gone_from_the_list(ordercast: Command) -> None:
    _, listed, _ = ordercast("alerts")
    _, before, _ = ordercast("alerts", "--json")
    first = json.loads(before)[0]["exception_id"][:8]
    _, taken, _ = ordercast("alerts", "acknowledge", first, "--actor", "pam", "--note", "Supplier called")
    _, settled, _ = ordercast("alerts", "resolve", first, "--as", "fixed", "--actor", "pam", "--key", "k-1")
    _, again, _ = ordercast("alerts", "resolve", first, "--as", "fixed", "--actor", "pam", "--key", "k-1")
    _, shown, _ = ordercast("alerts", "show", first)
    _, rest, _ = ordercast("alerts", "--json", "--owner", "purchasing")

    assert listed.index("CUP runs out.") < listed.index("TEA runs out.")
    assert "150 EUR" in listed
    assert ("acknowledged" in taken, "resolved" in settled, "was so already" in again) == (True, True, True)
    assert "pam: acknowledged. Supplier called" in shown
    assert [one["title"] for one in json.loads(rest)] == ["TEA at L1"]


def test_whoever_is_no_planner_is_refused_with_code_3(ordercast: Command) -> None:
    _, listed, _ = ordercast("alerts", "--json")

    code, _, why = ordercast("alerts", "acknowledge", json.loads(listed)[0]["exception_id"], "--actor", "eve")

    assert (code, "is no operator" in why) == (3, True)


def test_a_rule_is_added_changed_disabled_and_its_history_says_by_whom(ordercast: Command) -> None:
    added = ordercast(
        "alerts", "rules", "add", "web-returns", "--kind", "threshold", "--set", "metric=return_rate", "--set", "where=channel=web",
        "--set", "above=0.2", "--owner", "returns", "--severity", "high", "--told", "--reason", "Agreed", "--actor", "ada",
    )  # fmt: skip
    ordercast("alerts", "rules", "change", "web-returns", "--set", "above=0.3", "--reason", "Too many", "--actor", "ada")
    ordercast("alerts", "rules", "disable", "web-returns", "--reason", "Season over", "--actor", "ada")
    _, told, _ = ordercast("alerts", "rules", "history", "web-returns", "--json")
    refused, _, why = ordercast("alerts", "rules", "change", "web-returns", "--set", "abov=1", "--reason", "x", "--actor", "ada")

    versions = json.loads(told)
    assert added[0] == 0
    assert [json.loads(one["parameters"])["above"] for one in versions] == [0.2, 0.3, 0.3]
    assert [(one["author"], one["reason"], one["is_enabled"]) for one in versions] == [
        ("ada", "Agreed", True), ("ada", "Too many", True), ("ada", "Season over", False),
    ]  # fmt: skip
    assert (refused, "did you mean 'above'" in why) == (3, True)


def test_a_preview_says_what_would_be_raised_and_writes_nothing(ordercast: Command, tmp_path: Path, sqlite_url: str) -> None:
    publish_small_release(tmp_path / "home")
    with OperationalStore.open(sqlite_url) as store:
        before = rows_of(store, "exception")

    _, said, _ = ordercast("alerts", "rules", "preview", "stock-out", "--set", "probability=0.1")
    _, unable, _ = ordercast("alerts", "rules", "preview", "--kind", "threshold", "--set", "metric=nothing")
    refused, _, why = ordercast("alerts", "rules", "preview", "run-failed")

    with OperationalStore.open(sqlite_url) as store:
        assert rows_of(store, "exception") == before
    assert "Nothing was written." in said
    assert unable == "not available: needs a metric nothing, which the release does not know.\n"
    assert (refused, "nothing to preview" in why) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("alerts", "rules", "list"), "stock-out/1"),
        (("alerts", "rules", "kinds"), "robust z-score"),
        (("alerts", "precision"), "stock-out"),
        (("alerts", "digest"), "2 open"),
        (("alerts", "check"), "data-late: not available: needs a release"),
    ],
)
def test_every_listing_says_what_it_is_for(ordercast: Command, arguments: tuple[str, ...], part: str) -> None:
    code, said, _ = ordercast(*arguments)

    assert (code, part in said) == (0, True)


def test_a_digest_without_a_channel_says_which_setting_is_missing(ordercast: Command) -> None:
    code, _, why = ordercast("alerts", "digest", "--send")

    assert (code, "ORDERCAST_OUTBOX_TARGET names no target" in why) == (2, True)


def message_of(store: OperationalStore) -> Message:
    look(store, TEA, CUP, tells=True)
    (row,) = rows_of(store, "outbox")
    return Message(idem_key=row["idem_key"], rec_id=None, payload=row["payload"], created_at=row["created_at"])


def test_a_mail_tells_of_every_exception_on_a_line_that_it_cannot_leave(store: OperationalStore) -> None:
    message = message_of(store)
    data = json.loads(message.payload)
    data["exceptions"][0]["detail"] = "CUP\r\nSubject: else"
    box = Mailbox("localhost", 25, "none", sender="a@example.com", recipient="b@example.com", timeout_seconds=1)

    mail: Any = box._mail(Message(idem_key=message.idem_key, rec_id=None, payload=json.dumps(data), created_at=NOW))

    text = mail.get_body().get_content()
    assert mail["Subject"] == f"Alert {message.idem_key}"
    assert "- CUP??Subject: else At stake: EUR 150." in text
    assert "- TEA runs out. At stake: EUR 40. Due 2026-11-24 07:00 UTC." in text


def test_a_file_of_alerts_has_a_row_for_each(store: OperationalStore, tmp_path: Path) -> None:
    message = message_of(store)

    counts = deliver(store, Folder(tmp_path, "csv"), attempts=1, clock=lambda: NOW)

    with (tmp_path / f"{message.idem_key}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert counts.sent == 1
    assert [(row["type"], row["rule"], row["detail"], row["expected_amount"]) for row in rows] == [
        ("alert.raised", "stock-out", "CUP runs out.", "150"), ("alert.raised", "stock-out", "TEA runs out.", "40"),
    ]  # fmt: skip
