"""Changes of purchase orders and allocations are decided like purchases: once, checked, undoable, by whoever may."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.decisions import changes, upkeep
from pipelines.decisions.audit import verify
from pipelines.decisions.service import DecisionPolicy, decide, preview_all
from pipelines.errors import DecisionError, NotPermittedError
from tests.integration.decision_shop import NOW, change_shop, open_shop, propose_items, rec_ids, request, rows_of, status_of, whole_store
from tests.integration.kinds_shop import (
    CHANGES,
    EXPECTED,
    MADE,
    SHARES,
    WANTED,
    add_order,
    approve,
    open_change,
    open_shortage,
    propose_change,
    propose_shares,
    send,
)

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.stores.operational import OperationalStore

KINDS = (*CHANGES, "allocate")
SAID = {
    "expedite": "40 units of PO-17 are to be pulled forward from 2026-07-20 to 2026-07-06, as draft change CHANGE-",
    "defer": "40 units of PO-17 are to be put off from 2026-07-20 to 2026-08-10, as draft change CHANGE-",
    "cancel_po": "40 units of PO-17 are to be cancelled, as draft change CHANGE-",
    "allocate": "50 units proposed for 3 order lines, as SHARE-",
}


def open_kind(store: OperationalStore, kind: str) -> str:
    return open_shortage(store) if kind == "allocate" else open_change(store, kind)


def effects(store: OperationalStore) -> list[tuple[Any, ...]]:
    changed = [(row["kind"], row["qty"], row["status"]) for row in rows_of(store, "purchase_order_change")]
    return changed + sorted((row["order_line_id"], row["qty"], row["status"]) for row in rows_of(store, "order_line_reservation"))


def shops(store: OperationalStore) -> dict[str, list[str]]:
    return {name: rows for name, rows in whole_store(store).items() if name in {"purchase_orders", "purchase_order_lines"}}


def follow_shop(store: OperationalStore, *, now: datetime = NOW) -> upkeep.UpkeepCounts:
    return upkeep.follow_shop(store, draft_days=3, now=now)


@pytest.mark.parametrize("kind", KINDS)
def test_an_approval_drafts_once_however_often_it_is_sent_and_leaves_the_shops_orders_alone(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)
    before, wanted = shops(store), request(rec_id)
    (guess,) = preview_all(store, [wanted], now=NOW)

    first, again = decide(store, wanted, now=NOW), decide(store, wanted, now=NOW)

    assert (first.outcome, first.status, first.ordered_qty) == ("approved", "approved", 50 if kind == "allocate" else 40)
    assert guess == first == again
    assert first.message.startswith(f"Approved: {SAID[kind]}")
    shares = [(line, qty, "proposed") for line, qty in SHARES.items()]
    assert effects(store) == (shares if kind == "allocate" else [(kind, 40, "draft")])
    assert shops(store) == before
    assert verify(store).problems == ()
    with pytest.raises(DecisionError, match="approved already"):
        approve(store, rec_id, version=2)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_draft_change_says_which_line_it_moves_from_when_to_when(store: OperationalStore, kind: str) -> None:
    rec_id = open_change(store, kind)

    result = approve(store, rec_id)

    (row,) = rows_of(store, "purchase_order_change")
    assert (row["change_id"], row["po_line_id"]) == (result.draft_id, result.line_id)
    assert (row["po_id"], row["po_line_id"], row["supplier_id"], row["ordered_qty"]) == ("PO-17", "PO-17-1", "SUP", 40)
    assert (row["from_date"], row["to_date"]) == (EXPECTED, WANTED[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_undo_cancels_what_was_drafted_and_the_next_approval_drafts_it_again(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)
    approve(store, rec_id)

    undone = decide(store, request(rec_id, "undo", version=2), now=NOW)
    after_undo = {one[-1] for one in effects(store)}
    again = approve(store, rec_id, version=3)

    assert (undone.outcome, undone.status) == ("undone", "proposed")
    assert "cancelled" in undone.message
    assert after_undo == {"cancelled"}
    assert again.outcome == "approved"
    assert {one[-1] for one in effects(store)} == {"proposed" if kind == "allocate" else "draft"}
    assert verify(store).problems == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rejection_drafts_nothing_and_silences_the_need(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)

    result = decide(store, request(rec_id, "reject", reason_code="supplier"), now=NOW)
    if kind == "allocate":
        propose_shares(store, run_id="r2")
    else:
        propose_change(store, kind, run_id="r2")

    assert (result.outcome, effects(store), status_of(store, rec_id)) == ("rejected", [], ("rejected", 2))
    assert len(rows_of(store, "recommendation")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_and_whoever_has_another_scope_may_not(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)
    before = whole_store(store)

    with pytest.raises(NotPermittedError):
        approve(store, rec_id, actor="vic")

    assert (whole_store(store), effects(store)) == (before, [])


@pytest.mark.parametrize("kind", CHANGES)
def test_units_that_arrived_meanwhile_make_it_stale_until_the_rest_is_confirmed(store: OperationalStore, kind: str) -> None:
    rec_id = open_change(store, kind)
    change_shop(store, "UPDATE purchase_order_lines SET received_qty = 15")

    stale = approve(store, rec_id)
    confirmed = approve(store, rec_id, version=2, confirmed_qty=25)

    assert (stale.outcome, stale.status) == ("stale", "stale")
    assert "40 units of PO-17 were open" in stale.message
    assert "25 are open" in stale.message
    assert (confirmed.outcome, effects(store)) == ("approved", [(kind, 25, "draft")])


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE purchase_orders SET expected_at = '2026-07-22 12:00:00+00:00'",
        "UPDATE purchase_orders SET status = 'received'",
        "UPDATE purchase_order_lines SET received_qty = 40",
        "DELETE FROM purchase_order_lines",
    ],
)
def test_a_line_that_moved_or_is_over_is_not_changed_on_what_was_reckoned_before(store: OperationalStore, kind: str, change: str) -> None:
    rec_id = open_change(store, kind)
    change_shop(store, change)

    stale = approve(store, rec_id)

    assert stale.outcome == "stale"
    assert stale.basis_now is not None
    assert stale.basis_now["qty"] == 0
    assert "snooze or reject it" in stale.message
    assert effects(store) == []
    with pytest.raises(DecisionError, match="orders nothing"):
        approve(store, rec_id, version=2, confirmed_qty=0)


def test_a_cancellation_may_be_of_fewer_units_and_a_change_of_days_only_of_all(store: OperationalStore) -> None:
    rec_id = open_change(store, "cancel_po")
    propose_change(store, "defer")
    defer = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["kind"] == "defer")

    with pytest.raises(DecisionError, match="about 40 units as a whole"):
        approve(store, defer, qty=12)
    with pytest.raises(DecisionError, match="at most 40"):
        approve(store, rec_id, qty=41)
    result = approve(store, rec_id, qty=12)

    assert (result.outcome, effects(store)) == ("approved", [("cancel_po", 12, "draft")])


def test_one_line_has_one_draft_change(store: OperationalStore) -> None:
    rec_id = open_change(store, "expedite")
    propose_change(store, "cancel_po")
    other = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["kind"] == "cancel_po")
    approve(store, rec_id)

    with pytest.raises(DecisionError, match="changes the same line of PO-17 already; undo that"):
        approve(store, other)

    assert effects(store) == [("expedite", 40, "draft")]


def test_a_cancellation_above_the_limit_needs_a_second_person_and_a_move_does_not(store: OperationalStore) -> None:
    policy = DecisionPolicy(one_person_amount=Decimal(100))
    rec_id = open_change(store, "cancel_po")
    propose_change(store, "defer")
    defer = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["kind"] == "defer")

    first = decide(store, request(rec_id, actor="pam"), policy=policy, now=NOW)
    nothing = effects(store)
    second = decide(store, request(rec_id, actor="ann"), policy=policy, now=NOW)
    decide(store, request(rec_id, "undo", version=2), now=NOW)
    moved = decide(store, request(defer, actor="pam"), policy=policy, now=NOW)

    assert (first.outcome, nothing, second.outcome, moved.outcome) == ("waiting", [], "approved", "approved")
    assert "140 is above 100 EUR" in first.second_person_reasons[0]


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_done_once_the_shops_order_shows_it(store: OperationalStore, kind: str) -> None:
    rec_id = open_change(store, kind)
    approve(store, rec_id)

    early = follow_shop(store)
    change_shop(store, MADE[kind])
    late, again = follow_shop(store), follow_shop(store)

    assert (early.closed, late.closed, again.closed) == (0, 1, 0)
    assert (effects(store), status_of(store, rec_id)) == ([(kind, 40, "done")], ("closed", 3))
    assert verify(store).problems == ()


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_whose_goods_arrived_as_they_were_is_closed_without_being_done(store: OperationalStore, kind: str) -> None:
    rec_id = open_change(store, kind)
    approve(store, rec_id)
    change_shop(store, "UPDATE purchase_order_lines SET received_qty = 40")

    follow_shop(store)

    assert (effects(store), status_of(store, rec_id)[0]) == ([(kind, 40, "closed")], "closed")


def test_an_order_that_was_reduced_is_a_cancellation_that_was_made(store: OperationalStore) -> None:
    rec_id = open_change(store, "cancel_po")
    approve(store, rec_id, qty=12)
    change_shop(store, "UPDATE purchase_order_lines SET ordered_qty = 28")

    follow_shop(store)

    assert (effects(store), status_of(store, rec_id)[0]) == ([("cancel_po", 12, "done")], "closed")


def test_what_was_made_in_the_shop_is_not_undone_here(store: OperationalStore) -> None:
    rec_id = open_change(store, "expedite")
    approve(store, rec_id)
    change_shop(store, MADE["expedite"])

    with pytest.raises(DecisionError, match="change the order there"):
        decide(store, request(rec_id, "undo", version=2), now=NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_carries_out_becomes_an_exception_and_counts_no_more(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)
    approve(store, rec_id)

    released = follow_shop(store, now=NOW + timedelta(days=3)).released

    (row,) = rows_of(store, "exception")
    table = "order_line_reservation" if kind == "allocate" else "purchase_order_change"
    assert (released, row["owner"], row["resolved_at"], status_of(store, rec_id)[0]) == (1, "ann", None, "approved")
    assert all(one["released_at"] is not None for one in rows_of(store, table))
    decide(store, request(rec_id, "undo", version=2), now=NOW)
    assert rows_of(store, "exception")[0]["resolution"] == "The approval was undone."


@pytest.mark.parametrize(("kind", "inbound_qty", "qty"), [("cancel_po", 0, 60), ("defer", 0, 60), ("expedite", 40, 24)])
def test_a_drafted_change_counts_in_the_position_of_the_item_at_once(
    store: OperationalStore, kind: str, inbound_qty: int, qty: int
) -> None:
    """40 units of PO-17 come before the day that the purchase plans for, but where they are cancelled or put off; or they are pulled to it."""
    open_shop(store, items=1)
    add_order(store)
    if kind != "expedite":
        change_shop(store, "UPDATE purchase_orders SET expected_at = '2026-07-10 12:00:00+00:00'")
    propose_change(store, kind, basis=json.dumps(_basis_of(kind)))
    by_kind = {row["kind"]: row["rec_id"] for row in rows_of(store, "recommendation")}

    approve(store, by_kind[kind])
    result = approve(store, by_kind["purchase"])

    assert result.basis_now is not None
    assert (result.basis_now["inbound_qty"], result.basis_now["qty"]) == (inbound_qty, qty)


def _basis_of(kind: str) -> dict[str, Any]:
    wanted = WANTED[kind]
    expected = EXPECTED if kind == "expedite" else date(2026, 7, 10)
    return {
        "as_of_date": "2026-06-30", "po_id": "PO-17", "po_line_id": "PO-17-1", "open_qty": 40, "expected_date": expected.isoformat(),
        "wanted_date": wanted and wanted.isoformat(),
    }  # fmt: skip


def test_stock_that_left_is_shared_anew_and_given_out_once_confirmed(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    change_shop(store, "UPDATE stock_levels SET on_hand = 40 WHERE sku = 'ITEM-3' AND location_id = 'DC'")

    stale = approve(store, rec_id)
    confirmed = approve(store, rec_id, version=2, confirmed_qty=40)

    assert stale.outcome == "stale"
    assert "50 units were shared among 3 orders with 50 to give" in stale.message
    assert confirmed.outcome == "approved"
    assert effects(store) == [("O-1-1", 5, "proposed"), ("O-2-1", 10, "proposed"), ("O-3-1", 25, "proposed")]


@pytest.mark.parametrize(
    ("change", "shares"),
    [
        ("UPDATE orders SET cancelled_at = '2026-07-01 08:00:00+00:00' WHERE order_id = 'O-3'", [("O-1-1", 10), ("O-2-1", 20)]),
        ("UPDATE order_lines SET fulfillable_quantity = 0 WHERE order_line_id = 'O-3-1'", [("O-1-1", 10), ("O-2-1", 20)]),
        ("UPDATE order_lines SET quantity = 10 WHERE order_line_id = 'O-2-1'", [("O-1-1", 7), ("O-2-1", 7), ("O-3-1", 36)]),
        ("DELETE FROM order_lines WHERE order_line_id = 'O-1-1'", [("O-2-1", 14), ("O-3-1", 36)]),
    ],
)
def test_an_order_that_changed_is_found_even_where_the_total_stays(
    store: OperationalStore, change: str, shares: list[tuple[str, int]]
) -> None:
    rec_id = open_shortage(store)
    change_shop(store, change)
    total = sum(qty for _, qty in shares)

    stale = approve(store, rec_id)
    confirmed = approve(store, rec_id, version=2, confirmed_qty=total)

    assert stale.outcome == "stale"
    assert [(line, qty) for line, qty, _ in effects(store)] == shares
    assert confirmed.ordered_qty == total


def test_a_confirmation_of_shares_that_moved_again_under_the_same_total_is_stale_again(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    change_shop(store, "UPDATE order_lines SET quantity = 10 WHERE order_line_id = 'O-2-1'")
    approve(store, rec_id)
    change_shop(store, "UPDATE order_lines SET quantity = 15 WHERE order_line_id = 'O-2-1'")

    result = approve(store, rec_id, version=2, confirmed_qty=50)

    assert (result.outcome, result.version, effects(store)) == ("stale", 3, [])


def test_what_was_shared_by_value_stays_where_it_can_be_given_and_goes_where_it_cannot(store: OperationalStore) -> None:
    rec_id = open_shortage(store, method="marginal_value")
    change_shop(store, "UPDATE stock_levels SET on_hand = 60 WHERE sku = 'ITEM-3' AND location_id = 'DC'")
    (guess,) = preview_all(store, [request(rec_id)], now=NOW)
    change_shop(store, "UPDATE stock_levels SET on_hand = 49 WHERE sku = 'ITEM-3' AND location_id = 'DC'")

    stale = approve(store, rec_id)

    assert guess.outcome == "approved"
    assert stale.basis_now is not None
    assert (stale.outcome, stale.basis_now["qty"]) == ("stale", 0)


def test_reserved_stock_is_given_away_once(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    approve(store, rec_id)
    propose_shares(store, run_id="r2", recommendation_key="allocate-ITEM-3-again")
    other = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["rec_id"] != rec_id)

    result = approve(store, other)

    assert result.basis_now is not None
    assert (result.outcome, result.basis_now["free_qty"], result.basis_now["qty"]) == ("stale", 0, 0)


def test_reserved_stock_is_not_transferred_away(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    change_shop(store, "UPDATE stock_levels SET committed = 0 WHERE sku = 'ITEM-3' AND location_id = 'DC'")
    propose_items(store, ["ITEM-3"], run_id="r2", kind="transfer", location_id="STORE", source_location_id="DC", supplier_id=None)
    transfer = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["kind"] == "transfer")
    approve(store, rec_id)

    with pytest.raises(DecisionError, match="0 units of ITEM-3 are free at DC now"):
        approve(store, transfer)


def test_reservations_end_with_their_orders_and_the_allocation_with_the_last(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    approve(store, rec_id)

    send(store, "O-1-1", 6)
    change_shop(store, "UPDATE orders SET cancelled_at = '2026-07-01 08:00:00+00:00' WHERE order_id = 'O-2'")
    send(store, "O-3-1", 30)
    first = follow_shop(store)
    begun = effects(store)
    change_shop(store, "UPDATE orders SET closed_at = '2026-07-02 08:00:00+00:00' WHERE order_id = 'O-3'")
    last = follow_shop(store)

    assert (first.closed, last.closed, status_of(store, rec_id)[0]) == (0, 1, "closed")
    assert begun == [("O-1-1", 6, "fulfilled"), ("O-2-1", 13, "released"), ("O-3-1", 31, "proposed")]
    assert effects(store)[2] == ("O-3-1", 31, "fulfilled")


def test_a_shop_without_order_lines_is_told_so_and_reserves_nothing(store: OperationalStore) -> None:
    open_shop(store, items=0)
    propose_shares(store)
    (rec_id,) = rec_ids(store, ["ITEM-3"])

    result = approve(store, rec_id)

    assert (result.outcome, effects(store)) == ("stale", [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("basis", [None, "{}", "[]", '{"open_qty": "many", "lines": 3}'])
def test_a_proposal_without_its_basis_is_refused(store: OperationalStore, kind: str, basis: str | None) -> None:
    rec_id = open_kind(store, kind)
    change_shop(store, "UPDATE recommendation SET basis = :basis", basis=basis)

    with pytest.raises(DecisionError, match="does not say which order"):
        approve(store, rec_id)


@pytest.mark.parametrize("kind", KINDS)
def test_where_there_is_a_target_a_message_tells_of_it_and_undo_calls_it_off(store: OperationalStore, kind: str) -> None:
    rec_id = open_kind(store, kind)
    policy = DecisionPolicy(has_target=True)

    result = decide(store, request(rec_id), policy=policy, now=NOW)
    (message,) = rows_of(store, "outbox")
    decide(store, request(rec_id, "undo", version=2), policy=policy, now=NOW)

    said = json.loads(message["payload"])
    assert (message["state"], said["action"], said["kind"], said["draft_id"]) == ("pending", "create", kind, result.draft_id)
    assert said["qty"] == result.ordered_qty
    assert rows_of(store, "outbox")[0]["state"] == "cancelled"


def test_without_the_look_at_the_line_goods_that_have_arrived_are_cancelled(
    store: OperationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rec_id = open_change(store, "cancel_po")
    change_shop(store, "UPDATE purchase_order_lines SET received_qty = 39")
    real = changes.open_order_lines
    monkeypatch.setattr(changes, "open_order_lines", lambda *args: [replace(line, received_qty=0) for line in real(*args)])

    assert approve(store, rec_id).ordered_qty == 40


def test_the_same_line_is_the_same_need_whatever_day_is_wanted_and_another_line_another(store: OperationalStore) -> None:
    rec_id = open_change(store, "defer")
    decide(store, request(rec_id, "reject", reason_code="supplier"), now=NOW)

    propose_change(store, "defer", run_id="r2", recommendation_key="later", need_by=date(2026, 9, 30))
    same = len(rows_of(store, "recommendation"))
    basis = _basis_of("defer") | {"po_line_id": "PO-18-1", "po_id": "PO-18"}
    propose_change(store, "defer", run_id="r3", recommendation_key="another", basis=json.dumps(basis))

    assert (same, len(rows_of(store, "recommendation"))) == (1, 2)


def test_units_that_were_sent_are_reserved_no_more(store: OperationalStore) -> None:
    rec_id = open_shortage(store)
    approve(store, rec_id)
    send(store, "O-1-1", 6)
    change_shop(store, "UPDATE stock_levels SET on_hand = on_hand + 10 WHERE sku = 'ITEM-3' AND location_id = 'DC'")
    propose_shares(store, run_id="r2", recommendation_key="allocate-ITEM-3-again")
    other = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["rec_id"] != rec_id)

    result = approve(store, other)

    assert result.basis_now is not None
    assert (result.basis_now["free_qty"], result.basis_now["qty"]) == (10, 10)
