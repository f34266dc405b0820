"""What screens read of decisions, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.decisions.service import decide
from pipelines.decisions.standing import list_history, quote, read_standing
from pipelines.decisions.upkeep import follow_shop
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, change_shop, open_shop, request


def test_drafts_stand_with_what_the_supplier_still_asks_for(store: OperationalStore) -> None:
    first, second = open_shop(store)
    decide(store, request(first), now=NOW)
    decide(store, request(second), now=NOW)

    found = read_standing(store, actor="ann")

    (draft,) = found.drafts.to_dicts()
    assert (draft["supplier_id"], draft["lines_count"], draft["qty"]) == ("SUP", 2, 120)
    assert (draft["amount"], draft["minimum_amount"], draft["missing_amount"]) == (Decimal(420), Decimal(500), Decimal(80))
    assert not draft["is_released"]
    assert found.draft_lines["sku"].to_list() == ["ITEM-1", "ITEM-2"]
    assert found.last_decisions[first].result.draft_id == draft["draft_id"]
    assert (found.operator and found.operator.role, found.admins) == ("approver", ("ada",))


def test_a_draft_that_nobody_submitted_is_marked(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    follow_shop(store, draft_days=3, now=NOW + timedelta(days=4))

    assert read_standing(store, actor=None).drafts["is_released"].to_list() == [True]


def test_a_draft_of_which_everything_was_taken_back_is_gone(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    decide(store, request(rec_id, "undo", version=2), now=NOW)

    assert read_standing(store, actor=None).drafts.is_empty()


def test_a_quote_is_what_the_approval_would_be_held_to(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)

    told = quote(store, rec_id, 65)

    assert (told.qty, told.amount, told.order_multiple, told.smallest_qty, told.max_order_qty) == (72, Decimal("252.00"), 12, 24, 600)
    assert decide(store, request(rec_id, qty=told.qty), now=NOW).ordered_qty == 72


def test_what_the_supplier_no_longer_sells_has_no_quote(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    change_shop(store, "DELETE FROM supplier_items")

    with pytest.raises(DecisionError, match="does not sell ITEM-1 any more"):
        quote(store, rec_id, 60)


def test_the_history_holds_what_people_and_the_shop_did(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id, comment="For the fair"), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'submitted'")
    follow_shop(store, draft_days=3, now=NOW)

    steps = list_history(store, limit=5)

    assert steps.select("actor", "sku", "action", "to_state", "qty", "comment").rows() == [
        ("ordercast", "ITEM-1", "apply", "applied", 60, None),
        ("ann", "ITEM-1", "approve", "approved", 60, "For the fair"),
    ]
    assert abs(steps["at"][0] - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=5)


def test_a_store_without_our_tables_says_what_adds_them(tmp_path: Path) -> None:
    with (
        OperationalStore.open(f"sqlite:///{tmp_path / 'shop.db'}", must_exist=False) as store,
        pytest.raises(StoreUnavailableError, match="ordercast run"),
    ):
        read_standing(store, actor="ann")
