"""Where money could slip through: numbers that are none, people and terms that change between, lines that were moved, stock read askew."""

from __future__ import annotations

import threading
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.decisions import basis, upkeep
from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.service import DecisionPolicy, decide, decide_all, preview_all
from pipelines.errors import DecisionError, StoreUnavailableError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, change_shop, open_shop, propose_items, request, rows_of, status_of, whole_store

if TYPE_CHECKING:
    from collections.abc import Callable

TWO_PERSONS = DecisionPolicy(one_person_amount=Decimal(1))
TRANSFER = {"kind": "transfer", "source_location_id": "STORE", "supplier_id": None, "recommended_qty": 50}


@pytest.mark.parametrize(
    "values",
    [
        {"decision_id": "x\0"},
        {"actor": "ann\udc80"},
        {"comment": "\0"},
        {"comment": "x" * 4_001},
        {"decision_id": "x" * 501},
        {"action": "buy"},
        {"version": 2**70},
        {"qty": 12 * 10**9},
        {"qty": 60.0},
        {"qty": True},
        {"confirmed_qty": -(10**12), "confirmed_unit_cost": Decimal("3.5")},
        {"confirmed_qty": 60, "confirmed_unit_cost": Decimal("NaN")},
        {"confirmed_qty": 60, "confirmed_unit_cost": Decimal("-3.5")},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_request_that_nothing_can_be_done_with_is_refused_and_stops_no_other(store: OperationalStore, values: dict[str, Any]) -> None:
    bad, good = open_shop(store)

    results = decide_all(store, [request(bad, **values), request(good)], now=NOW)

    assert [result.outcome for result in results] == ["refused", "approved"]
    assert status_of(store, bad) == ("proposed", 1)


@pytest.mark.parametrize("qty", [0, -12])
def test_nothing_and_less_cannot_be_ordered(store: OperationalStore, qty: int) -> None:
    rec_id, _ = open_shop(store)

    with pytest.raises(DecisionError, match="orders nothing"):
        decide(store, request(rec_id, qty=qty), now=NOW)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE supplier_items SET unit_cost = '-3.5'", "no price"),
        ("UPDATE supplier_items SET unit_cost = 'NaN'", "no price"),
        ("UPDATE supplier_items SET currency = 'USD'", "in USD now and was in EUR"),
        ("UPDATE supplier_items SET effective_to = '2026-06-30'", "does not sell ITEM-1 any more"),
        ("UPDATE supplier_items SET effective_from = '2026-07-02'", "does not sell ITEM-1 any more"),
        ("UPDATE supplier_items SET order_multiple = 9000000000000", "no number of units"),
        ("UPDATE stock_levels SET on_hand = 9000000000000", "no number of units"),
        ("UPDATE recommendation SET basis = '{\"order_up_to_qty\": 90}'", "does not say what it was computed from"),
        ("UPDATE recommendation SET basis = '{'", "does not say what it was computed from"),
    ],
)
def test_terms_and_stock_that_cannot_be_believed_order_nothing_even_confirmed(store: OperationalStore, change: str, words: str) -> None:
    rec_id, _ = open_shop(store)
    columns = ["supplier_id", "sku", "lead_time_days", "unit_cost", "effective_from", "effective_to"]
    store.create_source_tables({"supplier_items": columns})
    change_shop(store, change)

    for values in ({}, {"confirmed_qty": 60, "confirmed_unit_cost": Decimal("3.5")}):
        with pytest.raises(DecisionError, match=words):
            decide(store, request(rec_id, **values), now=NOW)

    assert rows_of(store, "purchase_order_lines") == []


def test_an_order_at_no_price_passes_no_limit_alone(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store, unit_cost=Decimal(0))
    change_shop(store, "UPDATE supplier_items SET unit_cost = " + ("0" if store.dialect == "postgresql" else "'0'"))

    result = decide(store, request(rec_id, qty=600), now=NOW)

    assert (result.outcome, result.second_person_reasons) == ("waiting", ("its price is 0, so the limit of 10,000 says nothing",))


@pytest.mark.parametrize(
    "lost", [Operator("pam", "viewer"), Operator("pam", "planner", locations=("STORE",)), Operator("pam", "planner", suppliers=("OTHER",))]
)
def test_the_approval_of_a_first_person_who_may_not_decide_any_more_does_not_count(store: OperationalStore, lost: Operator) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id, actor="pam"), policy=TWO_PERSONS, now=NOW)
    set_operator(store, lost, by="ada")

    second = decide(store, request(rec_id), policy=TWO_PERSONS, now=NOW)
    third = decide(store, request(rec_id, actor="ada"), policy=TWO_PERSONS, now=NOW)

    assert (second.outcome, third.outcome) == ("waiting", "approved")  # ann was the first of two then


def test_one_person_with_two_keys_is_one_person(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)

    outcomes = {decide(store, request(rec_id, decision_id=key), policy=TWO_PERSONS, now=NOW).outcome for key in ("a", "b", "a", "b")}

    assert outcomes == {"waiting"}


def test_a_key_belongs_to_whoever_used_it(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id, actor="pam", decision_id="one"), policy=TWO_PERSONS, now=NOW)
    before = whole_store(store)

    (answer,) = decide_all(store, [request(rec_id, actor="ann", decision_id="one")], policy=TWO_PERSONS, now=NOW)

    assert answer.outcome == "refused"
    assert whole_store(store) == before


def test_a_refusal_holds_nothing_and_the_same_key_goes_through_once_its_reason_is_gone(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store)
    wanted = request(rec_id, actor="vic")
    refused = [decide_all(store, [wanted], now=NOW)[0].outcome for _ in range(2)]
    set_operator(store, Operator("vic", "planner"), by="ada")

    answers = [decide(store, wanted, now=NOW) for _ in range(2)]

    assert refused == ["refused"] * 2
    assert [answer.outcome for answer in answers] == ["approved"] * 2
    assert len(rows_of(store, "purchase_order_lines")) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE purchase_order_lines SET po_id = 'SENT'",  # the shop's people put it on an order of theirs, and sent that
        "UPDATE purchase_order_lines SET received_qty = 12",
    ],
)
def test_a_line_that_the_shop_has_taken_further_is_not_undone(store: OperationalStore, change: str) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, "INSERT INTO purchase_orders (po_id, supplier_id, status) VALUES ('SENT', 'SUP', 'sent')")
    change_shop(store, change)

    with pytest.raises(DecisionError, match="submitted in the shop"):
        decide(store, request(rec_id, "undo", version=2), now=NOW)

    assert [line["ordered_qty"] for line in rows_of(store, "purchase_order_lines")] == [60]


def test_transfers_that_wait_in_the_outbox_share_what_is_free_at_their_source(store: OperationalStore) -> None:
    rec_id, other = open_shop(store, without=("transfers", "transfer_lines"), **TRANSFER)
    change_shop(store, "INSERT INTO stock_levels (sku, location_id, on_hand) VALUES ('ITEM-1', 'DC-2', 20)")
    change_shop(store, "UPDATE recommendation SET sku = 'ITEM-1', location_id = 'DC-2', recommended_qty = 70 WHERE sku = 'ITEM-2'")
    other = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["location_id"] == "DC-2")
    rec_id = next(row["rec_id"] for row in rows_of(store, "recommendation") if row["location_id"] == "DC")
    decide(store, request(rec_id), now=NOW)

    result = decide(store, request(other), now=NOW)

    assert (result.outcome, (result.basis_now or {})["qty"]) == ("stale", 50)  # 70 are wanted, 50 of 100 are left


def test_a_transfer_whose_source_has_nothing_left_is_refused_with_that(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store, **TRANSFER)
    change_shop(store, "UPDATE stock_levels SET on_hand = -5 WHERE location_id = 'STORE'")

    with pytest.raises(DecisionError, match="0 units of ITEM-1 are free at STORE now"):
        decide(store, request(rec_id, qty=10), now=NOW)


def test_a_receipt_between_two_reads_of_the_position_is_in_neither_twice_nor_not_at_all(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 units more are on their way, so that nothing needs ordering; they arrive after stock was read and before inbound is."""
    with OperationalStore.open(postgresql_url) as store, OperationalStore.open(postgresql_url) as shop:
        rec_id, _ = open_shop(store)
        change_shop(shop, "INSERT INTO purchase_orders (po_id, supplier_id, status) VALUES ('P', 'SUP', 'sent')")
        change_shop(
            shop,
            "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty) VALUES ('L', 'P', 'ITEM-1', 'DC', 60, 0)",
        )
        real: Callable[..., int] = basis.inbound_qty
        arrivals = iter([True])

        def inbound(*arguments: Any, **named: Any) -> int:
            if next(arrivals, False):
                with shop.transaction() as conn:
                    conn.execute(sa.text("UPDATE purchase_order_lines SET received_qty = 60 WHERE po_line_id = 'L'"))
                    conn.execute(sa.text("UPDATE stock_levels SET on_hand = on_hand + 60 WHERE sku = 'ITEM-1' AND location_id = 'DC'"))
            return real(*arguments, **named)

        monkeypatch.setattr(basis, "inbound_qty", inbound)

        result = decide(store, request(rec_id), now=NOW)

        assert (result.outcome, (result.basis_now or {})["free_qty"], (result.basis_now or {})["qty"]) == ("stale", 100, 0)


def test_the_log_is_found_whole_while_decisions_are_made(store: OperationalStore, store_url: str) -> None:
    ids = open_shop(store, items=40, products=250)
    is_done = threading.Event()
    reports = []

    def look() -> None:
        with OperationalStore.open(store_url) as other:
            while not is_done.is_set():
                reports.append(verify(other))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        outcomes = {result.outcome for result in decide_all(store, [request(rec_id) for rec_id in ids], now=NOW)}
    finally:
        is_done.set()
        looking.join()

    assert outcomes == {"approved"}
    assert {report.problems for report in reports} == {()}


def test_upkeep_waits_for_a_lock_as_a_decision_does(store: OperationalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rec_id, _ = open_shop(store)
    decide(store, request(rec_id), now=NOW)
    change_shop(store, "UPDATE purchase_orders SET status = 'sent'")
    real: Callable[..., str | None] = upkeep._follow
    failures = iter([True, True])

    def shaky(*arguments: Any) -> str | None:
        done = real(*arguments)
        if next(failures, False):
            raise StoreUnavailableError("is locked", is_passing=True)
        return done

    monkeypatch.setattr(upkeep, "_follow", shaky)

    counts = upkeep.follow_shop(store, draft_days=3, now=NOW)

    assert counts.applied == 1
    assert status_of(store, rec_id) == ("applied", 3)


def test_a_bulk_looked_at_beside_decisions_and_a_run_disturbs_neither(store: OperationalStore, store_url: str) -> None:
    """They lock in different orders; whoever is in a deadlock tries again."""
    ids = open_shop(store, items=20, products=150)
    failures: list[BaseException] = []
    looked: list[int] = []

    def look() -> None:
        try:
            with OperationalStore.open(store_url) as other:
                for _ in range(5):
                    looked.append(len(preview_all(other, [request(rec_id) for rec_id in reversed(ids)], now=NOW)))
                    propose_items(other, [f"ITEM-{number}" for number in range(1, 21)], run_id=f"r{len(looked)}")
        except BaseException as exc:
            failures.append(exc)

    looking = threading.Thread(target=look)
    looking.start()
    outcomes = [result.outcome for result in decide_all(store, [request(rec_id) for rec_id in ids], now=NOW)]
    looking.join()

    assert (failures, looked) == ([], [20] * 5)
    assert set(outcomes) == {"approved"}
    assert len(rows_of(store, "purchase_order_lines")) == 20


def test_a_session_that_the_server_ended_for_idling_is_tried_again(postgresql_url: str) -> None:
    with OperationalStore.open(postgresql_url) as store, OperationalStore.open(postgresql_url) as other:
        with pytest.raises(StoreUnavailableError) as caught:
            _idle_too_long(store, other)

        assert caught.value.is_passing


def _idle_too_long(store: OperationalStore, other: OperationalStore) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = '1ms'"))
        pid = conn.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        while any(row[0] == pid for row in _sessions(other)):
            pass
        conn.execute(sa.text("SELECT 1"))


def _sessions(store: OperationalStore) -> list[Any]:
    with store.transaction(writes=False) as conn:
        return list(conn.execute(sa.text("SELECT pid FROM pg_stat_activity")))


def test_a_proposal_has_expired_at_its_very_moment(store: OperationalStore) -> None:
    rec_id, _ = open_shop(store, expires_at=datetime(2026, 7, 1, 9, 0))

    with pytest.raises(DecisionError, match="expired at 2026-07-01 09:00"):
        decide(store, request(rec_id), now=NOW)
