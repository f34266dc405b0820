from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.decisions import upkeep
from pipelines.decisions.audit import verify
from pipelines.decisions.messages import message_key
from pipelines.decisions.requests import Decision
from pipelines.decisions.roles import Operator, list_operators, set_operator
from pipelines.decisions.service import DecisionPolicy, decide, decide_all, preview_all
from pipelines.decisions.upkeep import UpkeepCounts, expire_proposals
from pipelines.errors import DecisionError, KeyReusedError, NotPermittedError, OutdatedDecisionError, StoreUnavailableError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import (
    AS_OF,
    COST,
    NOW,
    change_shop,
    open_shop,
    propose_items,
    rec_ids,
    request,
    rows_of,
    status_of,
    whole_store,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SELL = "UPDATE stock_levels SET on_hand = on_hand - :qty WHERE sku = :sku AND location_id = 'DC'"


def follow_shop(store: OperationalStore, *, now: datetime) -> UpkeepCounts:
    return upkeep.follow_shop(store, draft_days=3, now=now)


def test_an_approval_writes_one_draft_line_with_the_recommendations_id(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)

    result = decide(store, request(rec_id), now=NOW)

    (order,), (line,) = rows_of(store, "purchase_orders"), rows_of(store, "purchase_order_lines")
    assert (result.outcome, result.status, result.version, result.ordered_qty, result.unit_cost) == ("approved", "approved", 2, 60, COST)
    assert (order["po_id"], order["supplier_id"], order["status"]) == (result.draft_id, "SUP", "draft")
    assert (line["po_line_id"], line["sku"], line["location_id"], line["ordered_qty"], line["received_qty"], line["source_rec_id"]) == (
        result.line_id, "ITEM-1", "DC", 60, 0, rec_id,
    )  # fmt: skip
    assert status_of(store, rec_id) == ("approved", 2)
    assert verify(store).problems == ()


def test_the_same_call_again_gives_the_same_answer_and_orders_nothing_more(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    wanted = request(rec_id)
    first = decide(store, wanted, now=NOW)
    before = whole_store(store)

    again = decide(store, wanted, now=NOW + timedelta(days=30))

    assert again == first
    assert whole_store(store) == before


def test_a_key_that_stands_for_another_request_is_refused(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    decide(store, request(rec_id, decision_id="one"), now=NOW)

    with pytest.raises(KeyReusedError, match="needs a new id"):
        decide(store, request(other, decision_id="one"), now=NOW)

    assert status_of(store, other) == ("proposed", 1)


def test_who_saw_another_version_is_told_and_changes_nothing(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    propose_items(store, ["ITEM-1", "ITEM-2"], run_id="r2", recommended_qty=72)
    before = whole_store(store)

    with pytest.raises(OutdatedDecisionError, match="proposes 72 units now"):
        decide(store, request(rec_id), now=NOW)

    assert whole_store(store) == before


def test_lines_of_one_supplier_place_and_day_share_a_draft_and_the_suppliers_minimum_is_shown(store: OperationalStore) -> None:
    first, second = (decide(store, request(rec_id), now=NOW) for rec_id in open_shop(store))

    assert first.draft_id == second.draft_id
    assert (first.order_amount, second.order_amount, second.minimum_amount) == (Decimal(210), Decimal(420), Decimal(500))
    assert "its supplier asks for 500.00" in second.message
    assert len(rows_of(store, "purchase_orders")) == 1


def test_a_draft_that_was_submitted_takes_no_more_lines(store: OperationalStore) -> None:
    one, other = open_shop(store)
    first = decide(store, request(one), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'sent'")

    second = decide(store, request(other), now=NOW)

    assert first.draft_id != second.draft_id
    assert sorted(order["status"] for order in rows_of(store, "purchase_orders")) == ["draft", "sent"]


def test_another_day_of_need_is_another_draft(store: OperationalStore) -> None:
    one, other = open_shop(store)
    change_shop(store, "UPDATE recommendation SET need_by = '2026-07-20' WHERE rec_id = :rec_id", rec_id=other)

    drafts = {decide(store, request(rec_id), now=NOW).draft_id for rec_id in (one, other)}

    assert len(drafts) == 2


def test_sales_of_other_items_and_sales_within_the_pack_make_nothing_stale(store: OperationalStore) -> None:
    rec_ids_ = open_shop(store, items=8)
    outcomes = []
    for number, rec_id in enumerate(rec_ids_, start=1):
        for other in range(1, 41):  # the shop sells all day, 7 units of everything until the last approval
            if other != number and other % 8 == number % 8:
                change_shop(store, SELL, qty=7, sku=f"ITEM-{other}")
        change_shop(store, SELL, qty=10, sku=f"ITEM-{number}")

        outcomes.append(decide(store, request(rec_id), now=NOW))

    assert [result.outcome for result in outcomes] == ["approved"] * 8
    assert {
        (result.basis_before["free_qty"], result.basis_now["free_qty"]) for result in outcomes if result.basis_before and result.basis_now
    } == {(40, 30)}


@pytest.mark.parametrize(
    ("change", "qty", "cost"),
    [
        ("UPDATE stock_levels SET on_hand = 20 WHERE sku = 'ITEM-1'", 72, "3.5"),
        ("UPDATE stock_levels SET committed = 20 WHERE sku = 'ITEM-1'", 72, "3.5"),
        ("UPDATE supplier_items SET unit_cost = '4.10' WHERE sku = 'ITEM-1'", 60, "4.1"),
        ("UPDATE supplier_items SET order_multiple = 50 WHERE sku = 'ITEM-1'", 50, "3.5"),
        ("UPDATE supplier_items SET min_order_qty = 240 WHERE sku = 'ITEM-1'", 240, "3.5"),
    ],
)  # fmt: skip
def test_what_has_moved_is_shown_before_and_after_and_nothing_is_ordered_until_it_is_confirmed(
    store: OperationalStore, change: str, qty: int, cost: str
) -> None:
    rec_id, _ = open_shop(store)
    statement = change.replace("'4.10'", "4.10") if store.dialect == "postgresql" else change
    change_shop(store, statement)

    stale = decide(store, request(rec_id), now=NOW)
    nothing = rows_of(store, "purchase_order_lines")
    confirmed = decide(store, request(rec_id, version=2, confirmed_qty=qty, confirmed_unit_cost=Decimal(cost)), now=NOW)

    assert (stale.outcome, stale.status, stale.version) == ("stale", "stale", 2)
    assert stale.basis_before is not None
    assert stale.basis_now is not None
    assert (stale.basis_before["qty"], stale.basis_before["unit_cost"]) == (60, "3.5")
    assert (stale.basis_now["qty"], stale.basis_now["unit_cost"]) == (qty, cost)
    assert nothing == []
    assert (confirmed.outcome, confirmed.ordered_qty, confirmed.unit_cost) == ("approved", qty, Decimal(cost))


def test_a_confirmation_of_numbers_that_have_moved_again_is_stale_again(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    change_shop(store, SELL, qty=20, sku="ITEM-1")
    decide(store, request(rec_id), now=NOW)
    change_shop(store, SELL, qty=15, sku="ITEM-1")

    result = decide(store, request(rec_id, version=2, confirmed_qty=72), now=NOW)

    assert (result.outcome, result.version) == ("stale", 3)
    assert result.basis_now is not None
    assert result.basis_now["qty"] == 96
    assert rows_of(store, "purchase_order_lines") == []


def test_a_stale_one_is_never_approved_without_the_numbers_that_were_seen(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    change_shop(store, SELL, qty=20, sku="ITEM-1")
    decide(store, request(rec_id), now=NOW)
    change_shop(store, SELL, qty=-20, sku="ITEM-1")

    result = decide(store, request(rec_id, version=2), now=NOW)

    assert result.outcome == "stale"


def test_an_approval_counts_as_inbound_for_the_next_decision_about_the_item(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    change_shop(
        store,
        "INSERT INTO recommendation (rec_id, recommendation_key, kind, sku, location_id, supplier_id, recommended_qty, unit_cost, currency_code, "
        "need_by, priority_score, reason, basis, status, version, first_run_id, last_run_id) SELECT 'second', 'second', kind, sku, location_id, "
        "supplier_id, recommended_qty, unit_cost, currency_code, need_by, 1, reason, basis, 'proposed', 1, 'r1', 'r1' FROM recommendation WHERE rec_id = :one",
        one=rec_id,
    )
    decide(store, request(rec_id), now=NOW)

    result = decide(store, request("second"), now=NOW)

    assert result.outcome == "stale"
    assert result.basis_now is not None
    assert (result.basis_now["inbound_qty"], result.basis_now["qty"]) == (60, 0)
    assert "Nothing needs ordering" in result.message


def test_a_quantity_of_ones_own_has_to_be_one_the_supplier_accepts(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)

    with pytest.raises(DecisionError, match=r"packs of 12, at least 24, at most 600.*rounds to 72"):
        decide(store, request(rec_id, qty=65), now=NOW)
    with pytest.raises(DecisionError, match="rounds to 24"):
        decide(store, request(rec_id, qty=12), now=NOW)
    with pytest.raises(DecisionError, match="rounds to 600"):
        decide(store, request(rec_id, qty=1200), now=NOW)
    result = decide(store, request(rec_id, qty=72), now=NOW)

    (line,) = rows_of(store, "purchase_order_lines")
    (decision,) = rows_of(store, "decision")
    assert (result.ordered_qty, line["ordered_qty"], decision["qty_before"], decision["qty_after"]) == (72, 72, 60, 72)


def test_a_rejection_has_a_reason_and_silences_the_need(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)

    with pytest.raises(DecisionError, match="needs a reason code"):
        decide(store, request(rec_id, "reject"), now=NOW)
    with pytest.raises(DecisionError, match="needs a comment"):
        decide(store, request(rec_id, "reject", reason_code="other"), now=NOW)
    result = decide(store, request(rec_id, "reject", reason_code="budget", comment="next quarter"), now=NOW)
    propose_items(store, ["ITEM-1", "ITEM-2"], run_id="r2", recommended_qty=84)

    assert (result.outcome, status_of(store, rec_id)) == ("rejected", ("rejected", 2))
    assert rec_ids(store, ["ITEM-1"]) == [rec_id]


def test_a_snoozed_one_comes_back_on_its_day(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    with pytest.raises(DecisionError, match="after 2026-07-01"):
        decide(store, request(rec_id, "snooze", until=date(2026, 7, 1)), now=NOW)
    decide(store, request(rec_id, "snooze", until=date(2026, 7, 3)), now=NOW)

    early = follow_shop(store, now=NOW + timedelta(days=1))
    asleep = status_of(store, rec_id)
    late = follow_shop(store, now=NOW + timedelta(days=2))

    assert (early.woken, asleep) == (0, ("snoozed", 2))
    assert (late.woken, status_of(store, rec_id)) == (1, ("proposed", 3))


@pytest.mark.parametrize("first", [{"action": "reject", "reason_code": "price"}, {"action": "snooze", "until": date(2026, 8, 1)}])
def test_a_rejection_or_a_snooze_can_be_taken_back(store: OperationalStore, first: dict[str, Any]) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id, **first), now=NOW)

    result = decide(store, request(rec_id, "undo", version=2), now=NOW)

    assert (result.outcome, status_of(store, rec_id)) == ("undone", ("proposed", 3))
    assert rows_of(store, "recommendation")[0]["snoozed_until"] is None


def test_undoing_an_approval_cancels_its_line_and_it_may_be_approved_again(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    first = decide(store, request(rec_id), now=NOW)
    decide(store, request(other), now=NOW)

    undone = decide(store, request(rec_id, "undo", version=2), now=NOW)
    left = [line["sku"] for line in rows_of(store, "purchase_order_lines")]
    (cancelled,) = [line for line in rows_of(store, "draft_order_line") if line["rec_id"] == rec_id]
    again = decide(store, request(rec_id, version=3, qty=84), now=NOW)

    assert (undone.outcome, undone.line_id, left) == ("undone", first.line_id, ["ITEM-2"])
    assert (cancelled["status"], cancelled["qty"]) == ("cancelled", 60)
    assert (again.outcome, again.draft_id, again.ordered_qty) == ("approved", first.draft_id, 84)
    assert sorted((line["sku"], line["ordered_qty"]) for line in rows_of(store, "purchase_order_lines")) == [("ITEM-1", 84), ("ITEM-2", 60)]


def test_a_draft_without_lines_is_called_off(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)

    decide(store, request(rec_id, "undo", version=2), now=NOW)

    assert [order["status"] for order in rows_of(store, "purchase_orders")] == ["cancelled"]
    assert decide(store, request(rec_id, version=3), now=NOW).outcome == "approved"


def test_what_was_submitted_in_the_shop_cannot_be_undone_here(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'sent'")

    with pytest.raises(DecisionError, match="submitted in the shop"):
        decide(store, request(rec_id, "undo", version=2), now=NOW)

    assert len(rows_of(store, "purchase_order_lines")) == 1


def test_approved_becomes_applied_and_closed_as_the_shop_goes_on(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'sent'")
    change_shop(store, "UPDATE purchase_order_lines SET ordered_qty = 72")
    counts = [follow_shop(store, now=NOW), follow_shop(store, now=NOW)]
    applied = status_of(store, rec_id)
    change_shop(store, "UPDATE purchase_order_lines SET received_qty = 72")

    counts.append(follow_shop(store, now=NOW))

    assert counts == [UpkeepCounts(applied=1), UpkeepCounts(), UpkeepCounts(closed=1)]
    assert (applied, status_of(store, rec_id)) == (("applied", 3), ("closed", 4))
    log = [(row["from_state"], row["to_state"]) for row in rows_of(store, "audit_log") if row["rec_id"] == rec_id]
    assert log == [("proposed", "approved"), ("approved", "applied"), ("applied", "closed")]
    assert '"ordered_qty":72' in rows_of(store, "audit_log")[-2]["after"]


@pytest.mark.parametrize("what", ["UPDATE purchase_orders SET status = 'Cancelled'", "DELETE FROM purchase_order_lines"])
def test_a_draft_that_the_shop_calls_off_is_closed_and_the_need_may_be_proposed_again(store: OperationalStore, what: str) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, what)

    counts = follow_shop(store, now=NOW)
    propose_items(store, ["ITEM-1", "ITEM-2"], run_id="r2")

    assert counts == UpkeepCounts(closed=1)
    assert rec_ids(store, ["ITEM-1"]) != [rec_id]


def test_a_draft_nobody_submits_becomes_an_exception_and_is_no_inbound_until_it_is_submitted(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    early = follow_shop(store, now=NOW + timedelta(days=2, hours=23))

    late = follow_shop(store, now=NOW + timedelta(days=3))
    again = follow_shop(store, now=NOW + timedelta(days=4))

    (exception,) = rows_of(store, "exception")
    assert (early, late, again) == (UpkeepCounts(), UpkeepCounts(released=1), UpkeepCounts())
    assert (exception["rec_id"], exception["owner"], exception["resolved_at"]) == (rec_id, "ann", None)
    assert rows_of(store, "draft_order_line")[0]["released_at"] is not None
    assert status_of(store, rec_id)[0] == "approved"
    change_shop(store, "UPDATE purchase_orders SET status = 'sent'")
    assert follow_shop(store, now=NOW + timedelta(days=5)) == UpkeepCounts(applied=1)
    assert rows_of(store, "exception")[0]["resolution"] == "It was submitted."
    assert rows_of(store, "draft_order_line")[0]["released_at"] is None


def test_what_has_expired_cannot_be_approved_and_makes_room(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    change_shop(store, SELL, qty=20, sku="ITEM-2")
    decide(store, request(other), now=NOW)
    late = NOW + timedelta(days=8)

    with pytest.raises(DecisionError, match="expired at 2026-07-08"):
        decide(store, request(rec_id), now=late)
    first = follow_shop(store, now=late)
    rest = expire_proposals(store, now=late)

    assert (first, rest) == (UpkeepCounts(expired=1), 1)
    assert (status_of(store, rec_id)[0], status_of(store, other)[0]) == ("expired", "expired")


@pytest.mark.parametrize(("actor", "words"), [("vic", "is a viewer, and this takes a planner"), ("nobody", "is no operator")])
def test_a_viewer_and_a_stranger_change_nothing(store: OperationalStore, actor: str, words: str) -> None:
    rec_id, _ = open_shop(store)
    before = whole_store(store)

    for wanted in (
        request(rec_id, actor=actor),
        request(rec_id, "reject", actor=actor, reason_code="price"),
        request(rec_id, "snooze", actor=actor, until=date(2026, 8, 1)),
        request(rec_id, "undo", actor=actor),
    ):
        with pytest.raises(NotPermittedError, match=words):
            decide(store, wanted, now=NOW)

    assert whole_store(store) == before


def test_a_role_that_was_taken_away_is_gone_at_the_next_write(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    set_operator(store, Operator("ann", "viewer"), by="ada")

    with pytest.raises(NotPermittedError):
        decide(store, request(rec_id), now=NOW)


def test_a_scope_holds_for_places_and_suppliers(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    set_operator(store, Operator("pam", "planner", locations=("STORE",)), by="ada")
    set_operator(store, Operator("ann", "approver", suppliers=("OTHER",)), by="ada")

    for actor in ("pam", "ann"):
        with pytest.raises(NotPermittedError, match="may not decide about SUP at DC"):
            decide(store, request(rec_id, actor=actor), now=NOW)
    set_operator(store, Operator("pam", "planner", locations=("DC", "STORE"), suppliers=("SUP",)), by="ada")

    assert decide(store, request(other, actor="pam"), now=NOW).outcome == "approved"


def test_above_the_limit_the_maker_is_not_the_checker(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    policy = DecisionPolicy(one_person_amount=Decimal(200))

    first = decide(store, request(rec_id, actor="ann"), policy=policy, now=NOW)
    same = decide(store, request(rec_id, actor="ann"), policy=policy, now=NOW)
    planner = decide(store, request(rec_id, actor="pam"), policy=policy, now=NOW)
    other_qty = decide(store, request(rec_id, actor="ada", qty=72), policy=policy, now=NOW)
    nothing = rows_of(store, "purchase_order_lines")
    second = decide(store, request(rec_id, actor="ada"), policy=policy, now=NOW)

    assert [one.outcome for one in (first, same, planner, other_qty)] == ["waiting"] * 4
    assert first.second_person_reasons == ("210 is above 200 EUR, which one person may approve",)
    assert (status_of(store, rec_id)[0], nothing) == ("approved", [])
    assert second.outcome == "approved"


def test_a_planner_approves_up_to_their_own_limit(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    set_operator(store, Operator("pam", "planner", approve_limit=Decimal(210)), by="ada")

    within = decide(store, request(rec_id, actor="pam"), now=NOW)
    above = decide(store, request(other, actor="pam", qty=72), now=NOW)
    checked = decide(store, request(other, actor="ann", qty=72), now=NOW)

    assert (within.outcome, above.outcome, checked.outcome) == ("approved", "waiting", "approved")


def test_a_new_version_needs_both_persons_again(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    policy = DecisionPolicy(one_person_amount=Decimal(1))
    decide(store, request(rec_id, actor="ann"), policy=policy, now=NOW)
    propose_items(store, ["ITEM-1", "ITEM-2"], run_id="r2", reason="Another reason.")

    result = decide(store, request(rec_id, version=2, actor="ada"), policy=policy, now=NOW)

    assert result.outcome == "waiting"


def test_more_than_three_times_the_usual_order_needs_a_second_person(store: OperationalStore) -> None:
    rec_id, other = open_shop(store)
    for number, qty in enumerate((12, 24, 36)):
        change_shop(
            store,
            "INSERT INTO purchase_orders (po_id, supplier_id, status, currency) VALUES (:po, 'SUP', 'received', 'EUR')",
            po=f"P{number}",
        )
        for sku, factor in (("ITEM-1", 1), ("ITEM-2", 0.5)):
            change_shop(
                store,
                "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty, unit_cost) "
                f"VALUES (:line, :po, :sku, 'DC', :qty, :qty, {'CAST(3.5 AS numeric)' if store.dialect == 'postgresql' else chr(39) + '3.50' + chr(39)})",
                line=f"P{number}-{sku}", po=f"P{number}", sku=sku, qty=int(qty * factor),
            )  # fmt: skip

    usual = decide(store, request(rec_id), now=NOW)
    unusual = decide(store, request(other), now=NOW)

    assert usual.outcome == "approved"
    assert (unusual.outcome, unusual.second_person_reasons) == ("waiting", ("the order is 5.0 times the item's median order of 42 EUR",))


def test_a_first_approval_can_be_taken_back_until_the_second(store: OperationalStore) -> None:
    (rec_id,) = open_shop(store, items=1)
    strict = DecisionPolicy(one_person_amount=Decimal(1))
    first = decide(store, request(rec_id, decision_id="first"), policy=strict, now=NOW)

    undone = decide(store, request(rec_id, "undo", decision_id="undo"), policy=strict, now=NOW)
    second = decide(store, request(rec_id, version=2, actor="ann", decision_id="second"), policy=strict, now=NOW)

    assert (first.outcome, undone.outcome, second.outcome) == ("waiting", "undone", "waiting")
    assert rows_of(store, "draft_order_line") == []
    assert verify(store).problems == ()


def test_what_nobody_has_decided_cannot_be_undone(store: OperationalStore) -> None:
    (rec_id,) = open_shop(store, items=1)

    with pytest.raises(DecisionError, match="nothing to undo"):
        decide(store, request(rec_id, "undo"), now=NOW)


@pytest.mark.parametrize(("items", "outcome"), [(10, "approved"), (11, "waiting")])
def test_a_run_that_is_broader_than_the_shops_runs_are_needs_a_second_person_for_each(
    store: OperationalStore, items: int, outcome: str
) -> None:
    open_shop(store)
    for days in (3, 2, 1):
        propose_items(store, ["ITEM-1", "ITEM-2"], run_id=f"before-{days}", as_of=AS_OF - timedelta(days=days))
    propose_items(store, [f"ITEM-{number}" for number in range(1, items + 1)], run_id="r2")

    result = decide(store, request(rec_ids(store, ["ITEM-9"])[0]), now=NOW)

    assert result.outcome == outcome
    assert result.second_person_reasons == (() if items == 10 else ("the run proposes to order 11 of 40 items, where 2 are usual",))


def test_many_runs_of_one_day_do_not_make_a_breadth_usual(store: OperationalStore) -> None:
    open_shop(store)
    for number in range(5):
        propose_items(store, ["ITEM-1", "ITEM-2"], run_id=f"before-{number}", as_of=AS_OF - timedelta(days=1))
    propose_items(store, [f"ITEM-{number}" for number in range(1, 31)], run_id="r2")

    result = decide(store, request(rec_ids(store, ["ITEM-9"])[0]), now=NOW)

    assert result.outcome == "approved"


def test_money_without_a_rate_needs_a_second_person_and_with_one_it_is_converted(store: OperationalStore) -> None:
    rec_id, other = open_shop(store, currency_code="USD")
    change_shop(store, "UPDATE supplier_items SET currency = 'USD'")
    insert = "INSERT INTO fx_rates (rate_date, from_currency, to_currency, rate) VALUES ('{}', 'EUR', 'USD', 2.0)"
    change_shop(store, insert.format("2026-06-23"))  # a rate serves for a week
    unknown = decide(store, request(rec_id), now=NOW)
    change_shop(store, insert.format("2026-06-24"))

    cheap = decide(store, request(rec_id), policy=DecisionPolicy(Decimal(105)), now=NOW)
    dear = decide(store, request(other), policy=DecisionPolicy(Decimal(104)), now=NOW)

    assert unknown.second_person_reasons == ("no exchange rate is known for USD, so the limit of 10,000 cannot be checked",)
    assert (cheap.outcome, dear.outcome) == ("approved", "waiting")


@pytest.mark.parametrize("limit", ["NaN", "Infinity", "-1", "1e30"])
def test_a_limit_is_an_amount(store: OperationalStore, limit: str) -> None:
    with pytest.raises(DecisionError, match="a limit from 0 to 1,000,000,000"):
        set_operator(store, Operator("ada", "admin", Decimal(limit)), by="ada")


def test_only_an_admin_sets_operators_and_one_stays(store: OperationalStore) -> None:
    with pytest.raises(NotPermittedError, match="names themselves"):
        set_operator(store, Operator("pam", "planner"), by="pam")
    set_operator(store, Operator("ada", "admin"), by="ada")
    set_operator(store, Operator("pam", "planner", Decimal("99.5"), ("DC",)), by="ada")

    with pytest.raises(NotPermittedError, match="takes an admin"):
        set_operator(store, Operator("pam", "admin"), by="pam")
    with pytest.raises(DecisionError, match="last admin"):
        set_operator(store, Operator("ada", "viewer"), by="ada")

    assert list_operators(store) == [Operator("ada", "admin"), Operator("pam", "planner", Decimal("99.5"), ("DC",))]
    assert [row["actor"] for row in rows_of(store, "audit_log")] == ["ada", "ada"]


def test_bulk_decisions_have_a_result_each_and_a_refused_one_stops_no_other(store: OperationalStore) -> None:
    first, second, third = open_shop(store, items=3)
    change_shop(store, SELL, qty=20, sku="ITEM-2")

    results = decide_all(store, [request(first), request(second), request("none"), request(third, qty=5), request(third)], now=NOW)

    assert [result.outcome for result in results] == ["approved", "stale", "refused", "refused", "approved"]
    assert "There is no recommendation 'none'" in results[2].message


def test_a_store_that_stops_answering_leaves_the_rest_of_a_bulk_untried(store: OperationalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = open_shop(store)
    calls = []

    def broken(*_: object, **__: object) -> Decision:
        calls.append(1)
        raise StoreUnavailableError("Operational store is gone.")

    monkeypatch.setattr("pipelines.decisions.service._decide", broken)

    results = decide_all(store, [request(first), request(second)], now=NOW)

    assert ([result.outcome for result in results], len(calls)) == (["unavailable", "unavailable"], 1)


def test_a_lock_or_a_broken_connection_is_tried_again_with_the_same_key(store: OperationalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.decisions import service

    rec_id, _ = open_shop(store)
    real: Callable[..., Decision] = service._decide
    failures = iter([True, True, False])

    def shaky(conn: sa.Connection, *arguments: Any) -> Decision:
        result = real(conn, *arguments)
        if next(failures):
            raise StoreUnavailableError("is locked", is_passing=True)
        return result

    monkeypatch.setattr(service, "_decide", shaky)

    result = decide(store, request(rec_id), now=NOW)

    assert result.outcome == "approved"
    assert len(rows_of(store, "purchase_order_lines")) == 1


@pytest.mark.parametrize("is_cut_before", [True, False])
def test_a_connection_that_is_cut_is_tried_again_and_orders_once(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, is_cut_before: bool
) -> None:
    from pipelines.decisions import service

    with OperationalStore.open(postgresql_url) as store, OperationalStore.open(postgresql_url) as other:
        rec_id, _ = open_shop(store)
        real: Callable[..., Decision] = service._decide
        cuts = iter([True, False])

        def cut(conn: sa.Connection, *arguments: Any) -> Decision:
            is_last = not next(cuts)
            result = None if is_cut_before and not is_last else real(conn, *arguments)
            if not is_last:
                change_shop(other, "SELECT pg_terminate_backend(:pid)", pid=conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
            return result or real(conn, *arguments)

        monkeypatch.setattr(service, "_decide", cut)

        result = decide(store, request(rec_id), now=NOW)

        assert result.outcome == "approved"
        assert len(rows_of(store, "purchase_order_lines")) == 1
        assert verify(store).problems == ()


def test_a_preview_changes_nothing_and_says_exactly_what_happens(store: OperationalStore) -> None:
    first, second, third = open_shop(store, items=3)
    change_shop(store, SELL, qty=20, sku="ITEM-2")
    wanted = [request(first), request(second), request(third, qty=84), request(third, "reject", reason_code="price"), request("none")]
    before = whole_store(store)

    predicted = preview_all(store, wanted, now=NOW)
    untouched = whole_store(store)
    real = decide_all(store, wanted, now=NOW)

    assert untouched == before
    assert predicted == real
    assert [result.outcome for result in real] == ["approved", "stale", "approved", "refused", "refused"]


def test_a_preview_of_a_batch_knows_the_brake_second_persons_and_what_the_batch_itself_moves(store: OperationalStore) -> None:
    open_shop(store)
    for days in (3, 2, 1):
        propose_items(store, ["ITEM-1", "ITEM-2"], run_id=f"before-{days}", as_of=AS_OF - timedelta(days=days))
    skus = [f"ITEM-{number}" for number in range(1, 14)]
    propose_items(store, skus, run_id="broad")
    broad, stale, dear, twice, undone, late, moved, *_ = rec_ids(store, skus)
    change_shop(store, SELL, qty=20, sku="ITEM-2")
    change_shop(store, "UPDATE recommendation SET expires_at = '2026-06-01' WHERE rec_id = :rec_id", rec_id=late)
    change_shop(store, "UPDATE recommendation SET last_run_id = 'before-1' WHERE rec_id NOT IN (:broad, :dear)", broad=broad, dear=dear)
    wanted = [
        request(broad), request(broad, actor="ada"), request(stale), request(stale, version=2, confirmed_qty=72),
        request(dear, qty=600), request(dear, qty=600, actor="pam"), request(dear, qty=600, actor="ada"), request(twice, decision_id="key"),
        request(twice, decision_id="key"), request(moved, decision_id="key"), request(undone), request(undone, "undo", version=2),
        request(undone, version=3), request(late), request(moved, "snooze", until=AS_OF + timedelta(days=9)), request(moved, version=7),
    ]  # fmt: skip
    policy = DecisionPolicy(one_person_amount=Decimal(1000))
    before = whole_store(store)

    predicted = preview_all(store, wanted, policy=policy, now=NOW)
    untouched = whole_store(store)
    real = decide_all(store, wanted, policy=policy, now=NOW)

    assert untouched == before
    assert predicted == real
    assert [result.outcome for result in real] == [
        "waiting", "approved", "stale", "approved", "waiting", "waiting", "approved", "approved", "approved", "refused", "approved", "undone",
        "approved", "refused", "snoozed", "refused",
    ]  # fmt: skip
    assert {"the run proposes to order 13 of 40 items, where 2 are usual"} < {why for one in real for why in one.second_person_reasons}


def test_a_rerun_neither_overwrites_nor_repeats_what_was_decided(store: OperationalStore) -> None:
    approved, rejected, snoozed, stale = open_shop(store, items=4)
    change_shop(store, SELL, qty=20, sku="ITEM-4")
    decide(store, request(approved), now=NOW)
    decide(store, request(rejected, "reject", reason_code="price"), now=NOW)
    decide(store, request(snoozed, "snooze", until=date(2026, 8, 1)), now=NOW)
    decide(store, request(stale), now=NOW)
    before = whole_store(store)

    propose_items(store, [f"ITEM-{number}" for number in range(1, 5)], run_id="r2", recommended_qty=120)
    propose_items(store, [], run_id="r3")

    after = whole_store(store)
    assert {name for name in after if after[name] != before[name]} == {"recommendation_run"}


def test_a_shop_whose_orders_we_cannot_write_gets_its_draft_through_the_outbox(store: OperationalStore) -> None:
    rec_id, other = open_shop(store, without=("purchase_orders", "purchase_order_lines"))

    approved = decide(store, request(rec_id, decision_id="d-1"), now=NOW)
    decide(store, request(other), now=NOW)
    undone = decide(store, request(rec_id, "undo", version=2, decision_id="d-2"), now=NOW)

    messages = {row["rec_id"]: row for row in rows_of(store, "outbox")}
    assert (approved.target, approved.outcome, undone.outcome) == ("outbox", "approved", "undone")
    assert (messages[rec_id]["idem_key"], messages[rec_id]["decision_id"]) == (message_key("d-1"), "d-1")
    assert '"action":"create"' in messages[rec_id]["payload"]
    assert (messages[rec_id]["state"], messages[other]["state"]) == ("cancelled", "pending")  # never sent, so nothing cancels it
    change_shop(store, "UPDATE outbox SET state = 'sent' WHERE state = 'pending'")
    assert follow_shop(store, now=NOW) == UpkeepCounts(applied=1)
    assert follow_shop(store, now=NOW + timedelta(days=7)) == UpkeepCounts(closed=1)


def test_a_transfer_is_drafted_on_its_lane_and_takes_what_is_free_at_its_source(store: OperationalStore) -> None:
    rec_id, other = open_shop(store, kind="transfer", source_location_id="STORE", supplier_id=None, recommended_qty=50)

    result = decide(store, request(rec_id), now=NOW)
    change_shop(store, "UPDATE stock_levels SET on_hand = 30 WHERE location_id = 'STORE'")
    short = decide(store, request(other), now=NOW)

    (transfer,), (line,) = rows_of(store, "transfers"), rows_of(store, "transfer_lines")
    assert (transfer["from_location_id"], transfer["to_location_id"], transfer["status"]) == ("STORE", "DC", "draft")
    assert (line["transfer_id"], line["sku"], line["quantity"]) == (result.draft_id, "ITEM-1", 50)
    assert (short.outcome, (short.basis_now or {})["qty"]) == ("stale", 30)


def test_two_transfers_share_what_is_free_at_their_source(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store, kind="transfer", source_location_id="STORE", supplier_id=None, recommended_qty=50)
    change_shop(store, "INSERT INTO stock_levels (sku, location_id, on_hand) VALUES ('ITEM-1', 'DC-2', 20)")
    change_shop(store, "UPDATE recommendation SET sku = 'ITEM-1', location_id = 'DC-2', recommended_qty = 70 WHERE sku = 'ITEM-2'")
    (other,) = [row["rec_id"] for row in rows_of(store, "recommendation") if row["rec_id"] != rec_id]
    decide(store, request(rec_id), now=NOW)

    result = decide(store, request(other), now=NOW)

    assert (result.outcome, (result.basis_now or {})["qty"]) == ("stale", 50)  # 70 are wanted, 50 of 100 are left
    assert decide(store, request(other, version=2, confirmed_qty=50), now=NOW).outcome == "approved"


def test_where_rows_can_be_marked_as_deleted_a_cancelled_line_stays_marked(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    store.create_source_tables(
        {"purchase_order_lines": ["po_line_id", "po_id", "sku", "location_id", "ordered_qty", "received_qty", "is_deleted"]}
    )
    decide(store, request(rec_id), now=NOW)
    decide(store, request(rec_id, "undo", version=2), now=NOW)
    (cancelled,) = rows_of(store, "purchase_order_lines")

    decide(store, request(rec_id, version=3), now=NOW)

    (line,) = rows_of(store, "purchase_order_lines")
    assert (bool(cancelled["is_deleted"]), bool(line["is_deleted"])) == (True, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM supplier_items WHERE sku = 'ITEM-1'", "does not sell ITEM-1 any more"),
        ("UPDATE supplier_items SET order_multiple = NULL", "pack size of ITEM-1 is missing"),
        ("UPDATE supplier_items SET order_multiple = 0", "correct the supplier's pack size"),
        ("DELETE FROM stock_levels WHERE sku = 'ITEM-1'", "no stock level of ITEM-1"),
        ("UPDATE recommendation SET basis = NULL", "does not say what it was computed from"),
    ],
)
def test_what_cannot_be_checked_is_not_ordered(store: OperationalStore, change: str, words: str) -> None:
    rec_id, _ = open_shop(store)
    change_shop(store, change)

    with pytest.raises(DecisionError, match=words):
        decide(store, request(rec_id), now=NOW)

    assert rows_of(store, "purchase_order_lines") == []
