"""A planner decides on the worklist; what counts is what stands in the store afterwards."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import NumberInput

from dashboards.components import deciding, decision_card
from pipelines.decisions.requests import Decision
from tests.dashboards.conftest import APP, open_at
from tests.dashboards.example_release import Merchant, publish_release
from tests.dashboards.example_shop import Shop, open_shop
from tests.dashboards.test_reorder import listed, words


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, catalogue: str) -> Path:
    """A home folder with the example merchant's release and shop."""
    home = tmp_path_factory.mktemp("template")
    publish_release(home, Merchant(), catalogue=catalogue)
    return open_shop(home).home


@pytest.fixture
def shop(home: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop of this test's own, with ann, an approver, at the pages."""
    shutil.copytree(template, home, dirs_exist_ok=True)
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ann")
    config.set_option("server.address", "127.0.0.1")
    return Shop(home)


def worklist(*chosen: str, **address: str) -> AppTest:
    """The page alone, with these rows chosen."""
    page = AppTest.from_file(str(APP.with_name("views") / "reorder.py"), default_timeout=60)
    page.query_params |= address
    if chosen:
        page.session_state["chosen"] = list(chosen)
    return page.run()


def press(page: AppTest, label: str) -> AppTest:
    """Clicks the one button whose label begins so."""
    (found,) = [button for button in page.button if button.label.startswith(label)]
    return found.click().run()


def units_field(page: AppTest) -> NumberInput:
    """Where the quantity is edited."""
    return next(field for field in page.number_input if field.label == "Units")


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def accept_twice(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """What Streamlit does with two clicks 0.3 s apart: the callback runs twice for one drawn button; returns both answers."""
    told: list[Decision] = []

    def twice(*click: object) -> None:
        for _ in range(2):
            deciding.submit(*click)  # type: ignore[arg-type]
            answer = deciding.last_answer()
            assert answer is not None
            told.extend(answer.results)

    monkeypatch.setattr(decision_card, "submit", twice)
    press(worklist(), "Accept 240")
    return told


def test_an_accepted_suggestion_becomes_a_draft_that_is_seen_at_once(shop: Shop) -> None:
    page = press(worklist(), "Accept 240 units, EUR 1,920")

    (line,) = shop.rows("draft_order_line")
    assert (line["sku"], line["qty"], line["status"]) == ("A-1", 240, "draft")
    assert not page.exception
    assert "Approved\\: 240 units on draft" in page.success[0].value
    drafts = next(table.value for table in page.dataframe if "missing_amount" in table.value)
    assert drafts[["supplier", "amount", "minimum_amount", "missing_amount", "age_days"]].values.tolist() == [
        ["Supplier one", 1920.0, 2500.0, 580.0, 0]
    ]
    assert listed(page)["item"].tolist() == ["B-2 · South"]


def test_after_a_decision_no_other_suggestion_lies_under_the_second_click(shop: Shop) -> None:
    page = press(worklist(), "Accept 240")

    assert not [label for label in labels(page) if label.startswith("Accept")]
    assert [label for label in labels(press(page, "Go on")) if label.startswith("Accept")] == ["Accept 100 units, EUR 2,000"]


def test_a_click_that_arrives_twice_has_one_effect_and_one_answer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = accept_twice(monkeypatch)

    assert first == second
    assert first.outcome == "approved"
    assert len(shop.rows("draft_order_line")) == len(shop.rows("decision")) == 1


def test_without_the_kept_key_the_second_click_is_another_decision(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "decision_id", lambda *_: uuid.uuid4().hex)

    assert [answer.outcome for answer in accept_twice(monkeypatch)] == ["approved", "refused"]


def test_a_quantity_of_ones_own_is_rounded_and_priced_before_it_is_ordered(shop: Shop) -> None:
    page = worklist()
    units_field(page).set_value(250).run()
    told = words(page)
    press(page, "Order 264 units")

    assert "250 rounds to **264 units**, EUR 2,112.00 at EUR 8.00" in told
    assert [line["qty"] for line in shop.rows("draft_order_line")] == [264]


def test_a_quantity_typed_and_clicked_at_once_is_shown_before_it_is_ordered(shop: Shop) -> None:
    page = worklist()
    units_field(page).set_value(250)
    press(page, "Order 240 units")

    assert not shop.rows("draft_order_line")
    assert "Order 264 units" in labels(page)


def test_a_rejection_needs_its_reason_and_stands_with_it_until_it_is_undone(shop: Shop) -> None:
    refused = press(worklist(), "Reject it")
    page = worklist()
    page.selectbox[0].set_value("budget")
    page = press(page, "Reject it")
    rejected = worklist(show="Rejected")
    why, said = rejected.dataframe[0].value["decided_why"].tolist(), words(rejected)
    press(rejected, "Undo the rejection")

    assert "A rejection needs a reason code" in refused.error[0].value
    assert [label for label in labels(refused) if label.startswith("Accept 240")]
    assert why == ["There is no budget for it now."]
    assert "**Rejected by ann**" in said
    assert shop.status("A-1") == "proposed"


def test_a_snoozed_suggestion_is_listed_with_its_day(shop: Shop) -> None:
    press(worklist(), "Snooze it")
    page = worklist(show="Snoozed")

    assert listed(page)["wakes"].tolist() == ["Sat 28 Nov"]
    assert "Bring it back now" in labels(page)


def test_an_approval_can_be_undone_where_its_answer_stands(shop: Shop) -> None:
    page = press(press(worklist(), "Accept 240"), "Undo")

    assert shop.status("A-1") == "proposed"
    assert "Undone; its line on draft" in page.success[0].value


def test_stock_that_moved_is_shown_before_and_after_and_ordered_once_confirmed(shop: Shop) -> None:
    shop.change("UPDATE stock_levels SET on_hand = 1 WHERE sku = 'A-1'")
    page = press(worklist(), "Accept 240")
    shown = page.table[0].value
    press(worklist(show="Stale"), "Confirm 264 units at EUR 8.00")

    assert "Nothing was ordered" in page.warning[0].value
    assert shown["Proposed"].tolist() == ["240", "EUR 8.00", "31", "0"]
    assert shown["Now"].tolist() == ["264", "EUR 8.00", "1", "0"]
    assert [line["qty"] for line in shop.rows("draft_order_line")] == [264]


def test_an_order_above_the_limit_waits_for_another_approver(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_ONE_PERSON_AMOUNT", "1000")
    monkeypatch.setenv("ORDERCAST_OPERATOR", "pam")
    page = press(worklist(), "Accept 240")
    own = worklist(show="Second person")
    overview = open_at("views/overview.py").run()
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ann")
    press(worklist(show="Second person"), "Approve 240 units too, EUR 1,920")

    assert "an approver other than pam" in page.info[0].value
    assert not [label for label in labels(own) if label.startswith("Approve")]
    assert "**1 approval waiting for a second person**, EUR 1,920" in words(overview)
    assert shop.status("A-1") == "approved"


def test_a_bulk_is_previewed_with_its_drafts_and_then_answered_row_by_row(shop: Shop) -> None:
    previewed = press(worklist("k-a", "k-b"), "Preview")
    foreseen = next(table.value for table in previewed.dataframe if "missing_amount" in table.value)
    before = shop.rows("draft_order_line")
    shop.change("UPDATE stock_levels SET on_hand = 1 WHERE sku = 'A-1'")
    done = press(previewed, "Accept 2 suggestions")

    assert foreseen[["supplier", "amount", "missing_amount"]].values.tolist() == [
        ["Supplier one", 1920.0, 580.0], ["Supplier two", 2000.0, 500.0],
    ]  # fmt: skip
    assert not before
    assert "**1 of 2 suggestions done.**" in done.warning[0].value
    results = done.table[0].value
    assert results[["Item", "Result"]].values.tolist() == [["A-1 · North", "Stale"], ["B-2 · South", "Approved"]]
    assert any(button.proto.id.endswith("export-decision-results-csv") for button in done.get("download_button"))


def test_a_preview_of_something_else_carries_nothing_out(shop: Shop) -> None:
    page = press(worklist("k-a", "k-b"), "Preview")
    page.button_group(key="bulk-action-To decide").set_value("snooze").run()

    assert not [label for label in labels(page) if label.endswith("2 suggestions")]


def test_the_history_says_who_did_what_and_why(shop: Shop) -> None:
    page = worklist()
    page.selectbox[0].set_value("supplier")
    press(page, "Reject it")
    steps = worklist(show="History").dataframe[0].value

    assert steps[["actor", "sku", "action", "to_state", "why"]].values.tolist() == [
        ["ann", "A-1", "Reject", "Rejected", "The supplier cannot or should not deliver now."]
    ]


def test_whoever_may_not_decide_sees_no_button_and_how_to_become_one_who_may(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(operator: str | None, address: str = "127.0.0.1") -> str:
        monkeypatch.delenv("ORDERCAST_OPERATOR", raising=False)
        if operator:
            monkeypatch.setenv("ORDERCAST_OPERATOR", operator)
        config.set_option("server.address", address)
        page = worklist()
        assert not labels(page)
        return words(page).replace("\\", "")

    assert "no operator is named. Start the pages with ORDERCAST_OPERATOR=NAME" in said(None)
    assert "eve is no operator yet. ordercast operators set eve --role planner makes them one; ask ada (admin) to run it" in said("eve")
    assert "vic is a viewer. ordercast operators set vic --role planner changes that; ask ada (admin) to run it" in said("vic")
    assert "this page is not open to you any more" in said("ann", "0.0.0.0")


def test_the_page_says_under_whose_name_it_decides(shop: Shop) -> None:
    assert "You decide as **ann**, " in words(worklist())


def test_a_store_that_goes_away_leaves_the_question_open_and_the_same_key_settles_it(shop: Shop) -> None:
    page = worklist()
    (shop.home / "store.db").rename(shop.home / "away.db")
    lost = press(page, "Accept 240").error[0].value
    (shop.home / "away.db").rename(shop.home / "store.db")
    press(page, "Send again")

    assert "Whether it took effect is not known" in lost
    assert [line["qty"] for line in shop.rows("draft_order_line")] == [240]
