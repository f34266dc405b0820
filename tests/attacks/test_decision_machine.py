"""Whatever is decided, in whatever order, while the shop sells, submits and receives and runs propose: the invariants hold."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from pipelines.decisions import approving, service
from pipelines.decisions.audit import verify
from pipelines.decisions.brake import PRICED
from pipelines.decisions.lifecycle import TRANSITIONS
from pipelines.decisions.requests import Decision, DecisionRequest
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.service import DecisionPolicy, decide_all, preview_all
from pipelines.decisions.upkeep import expire_proposals, follow_shop
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import metadata
from pipelines.stores.recommendations import ENDED
from tests.integration.decision_shop import (
    FIELDS,
    NOW,
    change_shop,
    open_shop,
    propose_items,
    request,
    rows_of,
    status_of,
    whole_store,
)
from tests.integration.kinds_shop import SALES, add_order, add_sales, propose_change, propose_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.conftest import Size

SKUS = ["ITEM-1", "ITEM-2"]
POLICY = DecisionPolicy(one_person_amount=Decimal(250))
NUMBERS = st.integers(0, 2)
ACTORS = st.sampled_from(["pam", "ann", "ann", "ada", "ada", "vic"])
PAMS = [
    Operator("pam", "planner"), Operator("pam", "viewer"), Operator("pam", "approver"), Operator("pam", "planner", Decimal(100)),
    Operator("pam", "planner", locations=("STORE",)), Operator("pam", "planner", suppliers=("OTHER",)),
]  # fmt: skip
# what the log calls a step, beside the actions of the lifecycle
UNLOGGED = {"proposed": {"proposed", "superseded"}}


class Decisions(RuleBasedStateMachine):
    """People, the shop and runs take turns on one store, which a test gives as `store`; most lives hold a suggestion of another kind."""

    store: OperationalStore

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.answers: dict[str, tuple[DecisionRequest, Decision]] = {}
        self.runs = 1
        self.pam = PAMS[0]
        self.kind: str | None = None

    @initialize(begun=st.sampled_from(["nothing", "approved", "stale"]), kind=st.sampled_from([None, "expedite", "cancel_po", "allocate"]))
    def open(self, begun: str, kind: str | None) -> None:
        empty(self.store)
        self.kind = kind
        rec_id, _ = open_shop(self.store, items=len(SKUS))
        if kind == "allocate":
            add_sales(self.store)
            propose_shares(self.store, run_id="r0")
        elif kind is not None:
            add_order(self.store)
            propose_change(self.store, kind, run_id="r0", unit_cost=Decimal(8))  # above the limit
        if begun == "stale":
            self.sell(0, 20)
        if begun != "nothing":
            assert self._send(request(rec_id)).outcome == begun

    def _ids(self) -> list[str]:
        rows = sorted(rows_of(self.store, "recommendation"), key=lambda row: (row["status"] in ENDED, row["first_run_id"], row["sku"]))
        return [row["rec_id"] for row in rows]  # open ones first

    def _send(self, wanted: DecisionRequest) -> Decision:
        (answer,) = decide_all(self.store, [wanted], policy=POLICY, now=self.now)
        if answer.outcome != "refused":
            self.answers[wanted.decision_id] = (wanted, answer)
        return answer

    @rule(number=NUMBERS, actor=ACTORS, qty=st.sampled_from([None, None, 72, 72, 24, 65]), is_sure=st.booleans())
    def approve(self, number: int, actor: str, qty: int | None, is_sure: bool) -> None:
        ids = self._ids()
        rec_id = ids[number % len(ids)]
        wanted = request(rec_id, version=status_of(self.store, rec_id)[1], actor=actor, qty=qty)
        (guess,) = preview_all(self.store, [wanted], policy=POLICY, now=self.now)
        if is_sure and guess.outcome == "stale" and guess.basis_now is not None:
            cost = guess.basis_now["unit_cost"]
            wanted = replace(
                wanted, confirmed_qty=guess.basis_now["qty"], confirmed_unit_cost=None if cost is None else Decimal(cost),
                decision_id="c" + wanted.decision_id,
            )  # fmt: skip
        self._decided_as_predicted(wanted)

    @rule(number=NUMBERS, actor=ACTORS, action=st.sampled_from(["reject", "snooze", "undo", "undo"]), days=st.integers(1, 3))
    def decide_otherwise(self, number: int, actor: str, action: str, days: int) -> None:
        ids = self._ids()
        rec_id = ids[number % len(ids)]
        extra: dict[str, Any] = {"reject": {"reason_code": "price"}, "snooze": {"until": (self.now + timedelta(days=days)).date()}}.get(
            action, {}
        )
        self._decided_as_predicted(request(rec_id, action, version=status_of(self.store, rec_id)[1], actor=actor, **extra))

    def _decided_as_predicted(self, wanted: DecisionRequest) -> None:
        before = whole_store(self.store)
        predicted = preview_all(self.store, [wanted], policy=POLICY, now=self.now)
        assert whole_store(self.store) == before  # a dry run leaves the store as it was

        own = _orders_of_the_shop(self.store)
        answer = self._send(wanted)

        assert [answer] == predicted  # and predicts what happens
        assert _orders_of_the_shop(self.store) == own  # drafts are all that is written there
        if answer.outcome == "refused" or not self._may_decide(wanted.actor):
            assert answer.outcome == "refused"
            assert whole_store(self.store) == before  # a viewer, and whoever is refused, changes nothing
        if answer.outcome == "approved":
            seen = wanted.confirmed_qty if wanted.is_confirmed else _recommended(self.store, wanted.rec_id)
            assert answer.basis_now is not None
            assert answer.basis_now["qty"] == seen  # no order on changed stock without confirmation
            shares = [line["qty"] for line in answer.basis_now.get("lines", ())]
            assert not shares or sum(shares) == answer.ordered_qty <= answer.basis_now["free_qty"]  # no share of what is not there
            assert self._has_enough_persons(wanted, answer)

    def _may_decide(self, actor: str) -> bool:
        allowed = self.pam.role != "viewer" and self.pam.locations is None and self.pam.suppliers is None
        return actor in {"ann", "ada"} or (actor == "pam" and allowed)

    def _has_enough_persons(self, wanted: DecisionRequest, answer: Decision) -> bool:
        """Whether an approval above the limit is the second one, by an approver, of what somebody else approved who still may decide."""
        if _row(self.store, wanted.rec_id)["kind"] not in PRICED:
            return True
        assert answer.ordered_qty is not None
        assert answer.unit_cost is not None
        own = self.pam.approve_limit if wanted.actor == "pam" else None
        if answer.ordered_qty * answer.unit_cost <= min(POLICY.one_person_amount, own or POLICY.one_person_amount):
            return True
        first = {
            row["actor"]
            for row in rows_of(self.store, "decision")
            if (row["rec_id"], row["rec_version"], row["outcome"]) == (wanted.rec_id, wanted.rec_version, "waiting")
            and row["qty_after"] == answer.ordered_qty and self._may_decide(row["actor"])
        }  # fmt: skip
        is_approver = wanted.actor in {"ann", "ada"} or self.pam.role == "approver"
        return is_approver and bool(first - {wanted.actor})

    @rule(pam=st.sampled_from(PAMS))
    def appoint(self, pam: Operator) -> None:
        self.pam = set_operator(self.store, pam, by="ada")

    @rule(actors=st.lists(ACTORS, min_size=2, max_size=4), action=st.sampled_from(["approve", "approve", "reject", "undo"]))
    def decide_several(self, actors: list[str], action: str) -> None:
        """A bulk of everything that is open, by several people at once, with a row that cannot be in it."""
        extra: dict[str, Any] = {"reason_code": "price"} if action == "reject" else {}
        versions = {rec_id: status_of(self.store, rec_id)[1] for rec_id in self._ids()[: len(SKUS)]}
        bulk = [request(rec_id, action, version=versions[rec_id], actor=actor, **extra) for actor in actors for rec_id in versions]
        bulk.insert(1, request("none", action, actor="ada", **extra))
        before = whole_store(self.store)
        predicted = preview_all(self.store, bulk, policy=POLICY, now=self.now)
        assert whole_store(self.store) == before

        answers = decide_all(self.store, bulk, policy=POLICY, now=self.now)

        assert answers == predicted
        assert (len(answers), answers[1].outcome) == (len(bulk), "refused")
        for wanted, answer in zip(bulk, answers, strict=True):
            if answer.outcome != "refused":
                assert self._may_decide(wanted.actor)
                self.answers[wanted.decision_id] = (wanted, answer)

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        wanted, answer = self.answers[data.draw(st.sampled_from(sorted(self.answers)))]
        before = whole_store(self.store)

        assert decide_all(self.store, [wanted], policy=POLICY, now=self.now) == [answer]  # same key, same answer
        assert whole_store(self.store) == before
        (other,) = decide_all(self.store, [replace(wanted, comment="other")], policy=POLICY, now=self.now)
        assert other.outcome == "refused"

    @rule(number=NUMBERS, qty=st.sampled_from([3, 20, -15]))
    def sell(self, number: int, qty: int) -> None:
        change_shop(
            self.store,
            "UPDATE stock_levels SET on_hand = on_hand - :qty WHERE sku = :sku AND location_id = 'DC'",
            qty=qty,
            sku=[*SKUS, "ITEM-3"][number],
        )

    @precondition(lambda self: self.kind == "allocate")
    @rule(order=st.sampled_from(["O-1", "O-2", "O-3"]), ended=st.sampled_from(["closed_at", "cancelled_at"]))
    def an_order_ends(self, order: str, ended: str) -> None:
        change_shop(self.store, f"UPDATE orders SET {ended} = '2026-07-01 10:00:00+00:00' WHERE order_id = :one", one=order)

    @precondition(lambda self: self.kind in {"expedite", "cancel_po"})
    @rule(day=st.sampled_from(["2026-07-05", "2026-07-20", "2026-07-25"]))
    def the_supplier_names_a_day(self, day: str) -> None:
        change_shop(self.store, f"UPDATE purchase_orders SET expected_at = '{day} 12:00:00+00:00' WHERE po_id = 'PO-17'")

    @rule(what=st.sampled_from(["sent", "sent", "received", "cancelled"]))
    def the_shop_goes_on(self, what: str) -> None:
        change_shop(self.store, "UPDATE purchase_orders SET status = :what WHERE status <> 'cancelled'", what=what)

    @rule(qty=st.sampled_from([12, 600]))
    def a_delivery_comes(self, qty: int) -> None:
        change_shop(
            self.store,
            "UPDATE purchase_order_lines SET received_qty = CASE WHEN ordered_qty < :qty THEN ordered_qty ELSE :qty END "
            "WHERE sku = 'ITEM-1' AND received_qty < ordered_qty",
            qty=qty,
        )

    @rule()
    def the_shop_removes_a_line(self) -> None:
        change_shop(self.store, "DELETE FROM purchase_order_lines WHERE sku = 'ITEM-2'")
        follow_shop(self.store, draft_days=3, now=self.now)

    @rule(hours=st.sampled_from([1, 8, 40, 80]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        follow_shop(self.store, draft_days=3, now=self.now)
        again = follow_shop(self.store, draft_days=3, now=self.now)
        assert not any((again.woken, again.applied, again.closed, again.expired, again.released))

    @rule(items=st.sampled_from([[], SKUS[:1], SKUS, SKUS]), reason=st.sampled_from(["It runs out.", "It has run out."]))
    def run(self, items: list[str], reason: str) -> None:
        decided = {row["rec_id"]: row for row in rows_of(self.store, "recommendation") if row["status"] != "proposed"}
        self.runs += 1
        propose_items(self.store, items, run_id=f"r{self.runs}", reason=reason, expires_at=self.now + timedelta(days=8))

        after = {row["rec_id"]: row for row in rows_of(self.store, "recommendation")}
        assert {rec_id: after[rec_id] for rec_id in decided} == decided  # a rerun never overwrites what was decided
        expire_proposals(self.store, now=self.now)

    @invariant()
    def one_line_per_recommendation_with_the_quantity_approved(self) -> None:
        if not hasattr(self.store, "dialect") or "r1" not in {row["run_id"] for row in rows_of(self.store, "recommendation_run")}:
            return
        ours = [line for line in rows_of(self.store, "purchase_order_lines") if line["source_rec_id"] is not None]
        lines = {line["source_rec_id"]: line for line in ours}
        assert len(lines) == len(ours)
        approved = [row for row in rows_of(self.store, "recommendation") if row["status"] in {"approved", "applied"}]
        standing = {row["rec_id"] for row in approved if row["kind"] == "purchase"}
        assert standing <= set(lines)
        for rec_id in standing:
            assert lines[rec_id]["ordered_qty"] == _last_approved(self.store, rec_id)
        open_now = Counter(
            row["recommendation_key"]
            for row in rows_of(self.store, "recommendation")
            if row["status"] not in {"superseded", "expired", "closed"}
        )
        assert all(count == 1 for count in open_now.values())

    @invariant()
    def what_is_approved_stands_drafted_with_its_quantity_and_nothing_else_does(self) -> None:
        drafted: Counter[str] = Counter()
        for row in rows_of(self.store, "purchase_order_change"):
            drafted[row["rec_id"]] += row["qty"] if row["status"] == "draft" else 0
        ended: set[str] = set()
        for row in rows_of(self.store, "order_line_reservation"):
            ended |= {row["rec_id"]} if row["status"] in {"fulfilled", "released"} else set()
            drafted[row["rec_id"]] += row["qty"] if row["status"] == "proposed" else 0
        for row in rows_of(self.store, "recommendation"):
            if row["kind"] != "purchase":
                approved = _last_approved(self.store, row["rec_id"]) if row["status"] == "approved" else 0
                assert drafted[row["rec_id"]] == approved or (row["rec_id"] in ended and drafted[row["rec_id"]] < approved)

    @invariant()
    def what_is_released_is_somebodys_exception_and_nothing_else_is(self) -> None:
        tables = ("draft_order_line", "purchase_order_change", "order_line_reservation")
        released = {row["rec_id"] for table in tables for row in rows_of(self.store, table) if row["released_at"] is not None}
        assert released == {row["rec_id"] for row in rows_of(self.store, "exception") if row["resolved_at"] is None}

    @invariant()
    def the_log_is_whole_legal_and_leads_to_what_is(self) -> None:
        assert verify(self.store).problems == ()
        states: dict[str, str] = {}
        for row in sorted(rows_of(self.store, "audit_log"), key=lambda row: row["seq"]):
            if row["rec_id"] is None:
                continue
            assert row["from_state"] == states.get(row["rec_id"], "proposed")
            action = json.loads(row["after"])["action"]
            assert action == "release" or TRANSITIONS[row["from_state"], action] == row["to_state"]
            states[row["rec_id"]] = row["to_state"]
        for row in rows_of(self.store, "recommendation"):
            said = states.get(row["rec_id"], "proposed")
            assert row["status"] in UNLOGGED.get(said, {said})


def _row(store: OperationalStore, rec_id: str) -> dict[str, Any]:
    return next(row for row in rows_of(store, "recommendation") if row["rec_id"] == rec_id)


def _recommended(store: OperationalStore, rec_id: str) -> int:
    return int(_row(store, rec_id)["recommended_qty"])


def _orders_of_the_shop(store: OperationalStore) -> list[dict[str, Any]]:
    """What the shop's tables of orders hold that is no draft of ours."""
    return [row for name in ("purchase_orders", "purchase_order_lines") for row in rows_of(store, name) if "DRAFT-" not in row["po_id"]]


def _last_approved(store: OperationalStore, rec_id: str) -> int:
    log = [row for row in rows_of(store, "audit_log") if row["rec_id"] == rec_id and '"action":"approve"' in row["after"]]
    return int(json.loads(max(log, key=lambda row: row["seq"])["after"])["ordered_qty"])


def empty(store: OperationalStore) -> None:
    """Only the schema is left, and the guards on it."""
    with guards_off(store) as conn:
        for name in (*FIELDS, *SALES):
            if sa.inspect(conn).has_table(name):
                conn.execute(sa.text(f"DELETE FROM {name}"))
        for table in reversed(metadata.sorted_tables):
            if table.name == "audit_head":
                conn.execute(sa.text("UPDATE audit_head SET seq = 0, hash = ''"))
            elif table.name == "draft_order":
                continue
            else:
                conn.execute(sa.delete(table))
        conn.execute(sa.text("DELETE FROM draft_order"))


@contextmanager
def guards_off(store: OperationalStore) -> Iterator[sa.Connection]:
    with store.transaction() as conn:
        if store.dialect == "postgresql":
            for table in ("audit_log", "decision"):
                conn.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            yield conn
            for table in ("audit_log", "decision"):
                conn.execute(sa.text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
            return
        kept = conn.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _ in kept:
            conn.execute(sa.text(f"DROP TRIGGER {name}"))
        yield conn
        for _, statement in kept:
            conn.exec_driver_sql(statement)


def run_machine(store: OperationalStore, *, examples: int, steps: int = 25, phases: Sequence[Phase] = tuple(Phase)) -> None:
    class OnThisStore(Decisions):
        pass

    OnThisStore.store = store
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnThisStore,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_invariants_hold_whatever_happens(store: OperationalStore, size: Size, tell: Callable[[str], None]) -> None:
    examples = size(small=10, full=300)

    run_machine(store, examples=examples)

    tell(f"{store.dialect}: {examples} lives of 25 steps by people, the shop, the clock and runs: every invariant held after each step")


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [(approving, "_has_moved", False), (approving, "_is_second", True), (service, "_claim", None)],
    ids=["stock", "second person", "key"],
)
def test_the_machine_finds_what_is_wrong_without_a_protection(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, module: object, name: str, instead: object
) -> None:
    monkeypatch.setattr(module, name, lambda *_: instead)

    with OperationalStore.open(sqlite_url) as store, pytest.raises(AssertionError):
        run_machine(store, examples=20, phases=[Phase.generate])
