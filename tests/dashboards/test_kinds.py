"""The worklist shows and decides suggestions of every kind, each in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboards.conftest import open_at
from tests.dashboards.example_kinds import KINDS
from tests.dashboards.example_shop import Shop
from tests.dashboards.test_deciding import press, worklist
from tests.dashboards.test_reorder import listed, words

if TYPE_CHECKING:
    pass

ASKED = {
    "transfer": "Move 59 from South", "expedite": "Pull PO-17 forward to Tue 24 Nov", "defer": "Put PO-18 off to Wed 30 Dec",
    "cancel_po": "Cancel 40 of PO-9", "allocate": "Share 50 among 3 orders",
}  # fmt: skip
FACTS = {
    "transfer": ["From", "To"], "expedite": ["Order", "Wanted"], "defer": ["Open units", "Expected"], "cancel_po": ["Order", "To cancel"],
}  # fmt: skip


@pytest.fixture
def shop(kinds_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop of this test's own, with ann, an approver, at the pages."""
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ann")
    return kinds_shop


def test_the_list_says_what_each_kind_asks_for_and_sums_what_is_spent_only(shop: Shop) -> None:
    page = worklist()

    table = listed(page)
    assert sorted(table["what"]) == sorted([*ASKED.values(), "Order 240 (need 231)", "Order 100 (need 90)"])
    assert "**7 suggestions**: 2 orders for EUR 3,920, 1 transfer, " in words(page)


def test_the_overview_counts_what_waits_by_kind(shop: Shop) -> None:
    page = open_at("views/overview.py").run()

    kinds = (
        "2 orders for EUR 3,920, 1 transfer, 1 delivery to pull forward, 1 delivery to put off, 1 delivery to cancel, 1 shortage to share"
    )
    assert f"**7 suggestions**: {kinds} · **1 to do today**" in words(page)


def test_a_kind_that_is_chosen_in_the_address_is_all_that_is_listed(shop: Shop) -> None:
    page = worklist(kind="Cancel")

    assert listed(page)["what"].tolist() == ["Cancel 40 of PO-9"]
    assert "**Cancel 40 of PO-9**, by" in words(page)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_opens_with_its_facts_and_no_order_that_is_none(shop: Shop, kind: str) -> None:
    page = worklist(f"k-{kind}")

    facts = [name for table in page.table if "As proposed" in table.value.columns for name in table.value.iloc[:, 0]]
    gets = [frame.value["qty"].tolist() for frame in page.dataframe if "wanted_qty" in frame.value.columns]
    assert not page.exception
    assert set(FACTS.get(kind, [])) <= set(facts)
    assert gets == ([[6, 13, 31]] if kind == "allocate" else [])
    assert "Without the order" not in words(page)
    assert ("edit" in " ".join(button.key or "" for button in page.button)) == (kind in {"transfer", "cancel_po"})


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_accepted_with_one_click_and_undone_with_another(shop: Shop, kind: str) -> None:
    page = press(worklist(f"k-{kind}"), "Accept: ")
    drafted = standing(shop)
    page = press(page, "Undo")

    assert not page.exception
    assert drafted == (3 if kind == "allocate" else 1)
    assert "Undone" in page.success[0].value
    assert standing(shop) == 0


def standing(shop: Shop) -> int:
    """How much stands drafted."""
    count = sum(row["status"] == "draft" for table in ("draft_order_line", "purchase_order_change") for row in shop.rows(table))
    return count + sum(row["status"] == "proposed" for row in shop.rows("order_line_reservation"))


def test_a_rejection_of_a_change_needs_its_reason_like_any_other(shop: Shop) -> None:
    page = press(worklist("k-defer"), "Reject it")

    assert "needs a reason code" in page.error[0].value.replace("\\", "")
    assert shop.rows("purchase_order_change") == []


def test_drafted_changes_and_reservations_are_listed_among_the_drafts(shop: Shop) -> None:
    press(worklist("k-expedite"), "Accept: ")
    press(worklist("k-allocate"), "Accept: ")
    page = worklist(show="Drafts")

    changes = next(frame.value for frame in page.dataframe if "change_id" in frame.value.columns)
    held = next(frame.value for frame in page.dataframe if "order_line_id" in frame.value.columns and "state" in frame.value.columns)
    assert changes[["po_id", "change", "qty"]].to_numpy().tolist() == [["PO-17", "Earlier", 48]]
    assert held["qty"].tolist() == [6, 13, 31]


def test_a_bulk_of_several_kinds_foresees_what_one_does_to_another(shop: Shop) -> None:
    """With PO-17 pulled forward the transfer to North needs fewer units: it is stale then, and the others are done."""
    page = press(worklist("k-expedite", "k-cancel_po", "k-allocate", "k-transfer"), "Preview")
    foreseen = words(page)
    press(page, "Accept 3 suggestions")

    assert "3 of 4 suggestions would be done" in foreseen
    assert sorted(row["kind"] for row in shop.rows("purchase_order_change")) == ["cancel_po", "expedite"]
    assert (len(shop.rows("order_line_reservation")), shop.rows("draft_order_line")) == (3, [])


def test_an_order_line_that_moved_is_shown_before_and_after(shop: Shop) -> None:
    shop.change("UPDATE purchase_order_lines SET received_qty = 8 WHERE po_id = 'PO-9'")
    page = press(worklist("k-cancel_po"), "Accept: ")

    facts = next(table.value for table in page.table if "Now" in table.value.columns)
    assert facts.to_numpy().tolist() == [["Units", "40", "32"], ["Still to come", "40", "32"], ["Expected", "2026-11-30", "2026-11-30"]]
    press(page, "Confirm 32 units")
    assert [row["qty"] for row in shop.rows("purchase_order_change")] == [32]


def test_shares_that_moved_are_shown_line_by_line(shop: Shop) -> None:
    shop.change("UPDATE orders SET cancelled_at = '2026-11-20 09:00:00' WHERE order_id = 'O-3'")
    page = press(worklist("k-allocate"), "Accept: ")

    facts = next(table.value for table in page.table if "Now" in table.value.columns)
    assert facts.iloc[-3:, 1:].to_numpy().tolist() == [["6", "10"], ["13", "20"], ["31", "0"]]
