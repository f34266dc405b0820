from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.cli.app import main
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import change_shop, open_shop, rows_of, status_of, whole_store
from tests.integration.kinds_shop import open_change, open_shortage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ordercast(store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line on the store under test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def shop(store: OperationalStore) -> list[str]:
    """Three proposals whose day has not passed on the wall clock."""
    opened = open_shop(store, items=3)
    with store.transaction() as conn:
        conn.execute(sa.text("UPDATE recommendation SET expires_at = '2999-01-01 00:00:00'"))
    return opened


def results(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "decide", "decide approve", "decide edit", "decide confirm", "decide reject", "decide snooze", "decide undo", "operators",
        "operators list", "operators set", "operators link", "operators unlink", "audit", "audit verify", "access",
    ],
)  # fmt: skip
def test_every_command_explains_itself_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["ordercast", *command.split(), "--help"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code in (0, None)
    assert " " not in command or f"ordercast {command}" in capsys.readouterr().out


def test_suggestions_are_approved_by_the_beginning_of_their_ids(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    code, out, _ = ordercast("decide", "approve", shop[0][:10], shop[1][:10], "--actor", "ann")

    assert code == 0
    assert f"{shop[0][:8]}  approved  Approved: 60 units on draft DRAFT-" in out
    assert "2 of 2 done." in out
    assert [status_of(store, rec_id)[0] for rec_id in shop] == ["approved", "approved", "proposed"]


def test_drafts_are_listed_with_their_lines(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    ordercast("decide", "approve", *shop, "--actor", "ann")

    _, said, _ = ordercast("drafts")
    told = json.loads(ordercast("drafts", "--json")[1])["drafts"]
    lines = [line["line_id"] for draft in told for line in draft["lines"]]
    assert lines
    assert sum(draft["lines_count"] for draft in told) == len(lines)
    assert all(draft["draft_id"] in said for draft in told)


def test_without_a_draft_the_list_says_how_one_comes_about(ordercast: Command, shop: list[str]) -> None:
    assert "Nothing is on draft" in ordercast("drafts")[1]


def test_a_dry_run_changes_nothing_and_says_what_would_happen(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    before = whole_store(store)

    code, out, _ = ordercast("decide", "approve", *shop, "--actor", "ann", "--dry-run")

    assert code == 0
    assert "Nothing was changed; 3 of 3 would be done." in out
    assert whole_store(store) == before


def test_the_same_key_again_orders_once_and_answers_the_same(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    arguments = ("decide", "edit", shop[0], "72", "--actor", "ann", "--key", "form-1", "--json")

    first, second = ordercast(*arguments), ordercast(*arguments)

    assert (first[0], first[1]) == (second[0], second[1])
    assert results(first[1])[0]["ordered_qty"] == 72
    assert len(rows_of(store, "purchase_order_lines")) == 1


def test_a_dry_run_names_the_drafts_that_the_real_call_writes_to(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    predicted, done = (results(ordercast("decide", "approve", *shop, "--actor", "ann", "--json", *dry)[1]) for dry in (("--dry-run",), ()))

    assert [one["draft_id"] for one in predicted] == [one["draft_id"] for one in done]
    assert all(one["draft_id"] for one in done)


def test_a_stale_one_shows_the_command_that_confirms_it(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    change_shop(store, "UPDATE stock_levels SET on_hand = 20 WHERE sku = 'ITEM-1'")

    stale, out, _ = ordercast("decide", "approve", shop[0], "--actor", "ann")
    command = next(line for line in out.splitlines() if "decide confirm" in line).split()
    confirmed, told, _ = ordercast(*command[1:], "--actor", "ann")

    assert (stale, confirmed) == (6, 0)
    assert command == ["ordercast", "decide", "confirm", shop[0][:8], "--proposed", "72", "--price", "3.5"]
    assert "Approved: 72 units" in told


def test_one_refused_in_a_bulk_is_exit_code_3_and_the_others_are_done(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    ordercast("decide", "approve", shop[0], "--actor", "ann")

    code, out, _ = ordercast("decide", "reject", *shop, "--reason", "budget", "--actor", "ann", "--json")

    assert code == 3
    assert [result["outcome"] for result in results(out)] == ["refused", "rejected", "rejected"]


def test_reject_snooze_and_undo_do_what_they_say(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    codes = [
        ordercast("decide", "reject", shop[0], "--reason", "other", "--comment", "Too dear", "--actor", "ann")[0],
        ordercast("decide", "snooze", shop[1], "--until", "2999-01-01", "--actor", "ann")[0],
        ordercast("decide", "approve", shop[2], "--actor", "ann")[0],
        ordercast("decide", "undo", shop[2], "--actor", "ann")[0],
    ]

    assert codes == [0, 0, 0, 0]
    assert [status_of(store, rec_id) for rec_id in shop] == [("rejected", 2), ("snoozed", 2), ("proposed", 3)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["approve", "zzz"], "no open recommendation 'zzz'"),
        (["confirm", "zzz", "--proposed", "1", "--price", "cheap"], "'cheap' is no price"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(ordercast: Command, shop: list[str], arguments: list[str], words: str) -> None:
    code, _, err = ordercast("decide", *arguments, "--actor", "ann")

    assert code == 3
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_the_list_says_what_was_ordered_and_what_waits_for_a_second_person(
    ordercast: Command, store: OperationalStore, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ordercast("decide", "edit", shop[0], "72", "--actor", "ann")
    monkeypatch.setenv("ORDERCAST_ONE_PERSON_AMOUNT", "1")
    ordercast("decide", "approve", shop[1], "--actor", "ann")

    _, out, _ = ordercast("recommendations")
    _, waiting, _ = ordercast("recommendations", "--status", "waiting", "--json")
    _, log, _ = ordercast("audit", "log")

    assert "order 72 by" in out
    assert "(approved instead of 60, on draft DRAFT-" in out
    assert "(approved by ann, waits for a second person)" in out
    assert [(row["rec_id"], row["first_approved_by"], row["ordered_qty"]) for row in results(waiting)] == [(shop[1], "ann", None)]
    assert "ann: approve ITEM-1 at DC 72 units (proposed -> approved)" in log
    assert "ann: wait ITEM-2 at DC" in log


def test_suggestions_of_one_kind_are_listed_alone(ordercast: Command, store: OperationalStore) -> None:
    rec_id = open_shortage(store)

    _, allocations, _ = ordercast("recommendations", "--kind", "allocate", "--json")
    _, transfers, _ = ordercast("recommendations", "--kind", "transfer", "--json")
    _, none, _ = ordercast("recommendations", "--kind", "transfer")
    code, _, err = ordercast("recommendations", "--kind", "nonsense")

    assert "There is none of kind transfer; 1 suggestion is open." in none
    assert [row["rec_id"] for row in results(allocations)] == [rec_id]
    assert results(transfers) == []
    assert (code, "there is no kind 'nonsense'" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "expedite"), "There is none of kind expedite; 3 suggestions are open."),
        (("--kind", "defer", "--status", "approved"), "There is none of status approved of kind defer; 3 suggestions are open."),
    ],
)
def test_an_empty_list_of_one_kind_says_how_many_others_are_open(
    ordercast: Command, shop: list[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, _ = ordercast("recommendations", *arguments)

    assert (code, " ".join(out.split())) == (0, words)


def test_a_status_that_is_none_is_refused(ordercast: Command, shop: list[str]) -> None:
    code, _, err = ordercast("recommendations", "--status", "nonsense")

    assert code == 2
    assert "there is no status 'nonsense'" in err


def test_without_a_name_the_user_of_the_computer_decides(ordercast: Command, shop: list[str]) -> None:
    code, out, _ = ordercast("decide", "approve", shop[0])

    assert code == 3
    assert f"{getpass.getuser()!r} is no operator" in out


def test_operators_are_set_and_listed(ordercast: Command, store: OperationalStore) -> None:
    empty = ordercast("operators", "list")[1]
    ordercast("operators", "set", "ada", "--role", "admin", "--actor", "ada")
    code, out, _ = ordercast("operators", "set", "pam", "--role", "planner", "--limit", "2500", "--location", "DC", "--actor", "ada")

    listed = results(ordercast("operators", "list", "--json")[1])

    assert "Nobody may decide yet" in empty
    assert (code, out.strip()) == (0, "pam is planner from now on.")
    expected = {"actor": "pam", "role": "planner", "approve_limit": 2500, "locations": ["DC"], "suppliers": None, "sign_ins": []}
    assert listed[1] == expected
    assert ordercast("operators", "set", "eve", "--role", "admin", "--actor", "pam")[0] == 3


def test_who_signs_in_is_linked_listed_and_unlinked(ordercast: Command, store: OperationalStore) -> None:
    ordercast("operators", "set", "ada", "--role", "admin", "--actor", "ada")
    account = ("--issuer", "https://id.example.com", "--subject", "248289761001", "--email", "ada@example.com")

    linked = ordercast("operators", "link", "ada", *account, "--actor", "ada")
    listed = ordercast("operators", "list")[1]
    unlinked = ordercast("operators", "unlink", "ada", "--actor", "ada")

    assert (linked[0], linked[1].strip()) == (0, "Whoever signs in as ada@example.com is ada from now on.")
    assert "ada@example.com" in listed
    assert unlinked[1].strip() == "Nobody signs in as ada from now on; 1 did."
    assert "ada@example.com" not in ordercast("operators", "list")[1]
    assert ordercast("operators", "link", "eve", *account, "--actor", "ada")[0] == 3


def test_an_audit_log_that_was_changed_is_exit_code_3(ordercast: Command, store: OperationalStore, shop: list[str]) -> None:
    whole = ordercast("audit", "verify")
    guard = "DROP TRIGGER audit_log_update" if store.dialect == "sqlite" else "ALTER TABLE audit_log DISABLE TRIGGER USER"
    change_shop(store, guard)
    change_shop(store, "UPDATE audit_log SET actor = 'mallory' WHERE seq = 2")

    code, out, err = ordercast("audit", "verify")

    assert (whole[0], "is whole: 4 rows" in whole[1]) == (0, True)
    assert code == 3
    assert "Row 2 (mallory" in out
    assert "1 problems" in err


@pytest.mark.parametrize(
    ("kind", "said", "drafted"),
    [
        ("expedite", "pull PO-17 forward to 2026-07-06", "as draft change CHANGE-"),
        ("cancel_po", "cancel 40 of PO-17", "as draft change CHANGE-"),
        ("allocate", "share 50 among 3 orders", "(approved)"),
    ],
)
def test_other_kinds_are_listed_and_decided_in_their_own_words(
    ordercast: Command, store: OperationalStore, kind: str, said: str, drafted: str
) -> None:
    rec_id = open_shortage(store) if kind == "allocate" else open_change(store, kind)
    change_shop(store, "UPDATE recommendation SET expires_at = '2999-01-01 00:00:00'")

    _, listed, _ = ordercast("recommendations")
    code, told, err = ordercast("decide", "approve", rec_id[:8], "--actor", "ann")
    _, after, _ = ordercast("recommendations")

    assert said in listed
    assert (code, err) == (0, "")
    assert "approved" in told
    assert drafted in after


def test_a_stale_change_says_what_to_confirm_and_takes_it(ordercast: Command, store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    change_shop(store, "UPDATE recommendation SET expires_at = '2999-01-01 00:00:00'")
    change_shop(store, "UPDATE stock_levels SET on_hand = 40 WHERE sku = 'ITEM-3' AND location_id = 'DC'")

    code, told, _ = ordercast("decide", "approve", rec_id[:8], "--actor", "ann")
    command = told.splitlines()[1].split()
    confirmed, _, _ = ordercast(*command[1:], "--actor", "ann")

    assert (code, confirmed) == (6, 0)
    assert command == ["ordercast", "decide", "confirm", rec_id[:8], "--proposed", "40"]
    assert sum(row["qty"] for row in rows_of(store, "order_line_reservation")) == 40
