"""Exceptions on both databases: raised once per subject, gone by themselves, settled by people, told once."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from pipelines.alerts import rule_book
from pipelines.alerts.digests import make_digests, send_digests
from pipelines.alerts.exceptions import Look, end_other_rules, record_findings
from pipelines.alerts.findings import Finding
from pipelines.alerts.handling import Handled, Handling, handle
from pipelines.alerts.listing import find_exception, list_exceptions
from pipelines.alerts.rules import AlertRule
from pipelines.alerts.telling import tell
from pipelines.alerts.verdicts import Ending, judge, rule_precision, save_verdicts, waiting_for_outcome
from pipelines.decisions.roles import Operator, set_operator
from pipelines.delivery.folder import Folder
from pipelines.delivery.message import Message, Outcome
from pipelines.delivery.outbox import LEASE, deliver
from pipelines.delivery.settling import list_messages, settle
from pipelines.errors import AlertError, KeyReusedError, NotPermittedError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.alerts.exceptions import AlertCounts

NOW = datetime(2026, 11, 23, 7)
DAY = timedelta(days=1)
RULE = AlertRule(
    rule_id="stock-out", version=1, kind="stock_out", parameters={}, owner="purchasing", due_hours=24, quiet_hours=36, severity="high",
    is_told=True, is_enabled=True,
)  # fmt: skip
TEA = Finding(
    subject="item:TEA@L1", title="TEA at L1", detail="TEA runs out.", link="reorder?search=TEA", probability=0.5, stake_amount=Decimal(80),
    basis="chance times margin", evidence={"out_date": "2026-11-30"}, judged_after=date(2026, 11, 30),
)  # fmt: skip
CUP = replace(TEA, subject="item:CUP@L1", title="CUP at L1", detail="CUP runs out.", stake_amount=Decimal(300))


@pytest.fixture
def people(store: OperationalStore) -> OperationalStore:
    """A store with an admin, ada, a planner, pam, and a viewer, vic."""
    for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
        set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
    return store


def look(store: OperationalStore, *found: Finding, at: datetime = NOW, rule: AlertRule = RULE, tells: bool = False) -> AlertCounts:
    seen = Look(look_id=at.isoformat(), at=at, as_of=date(2026, 11, 22), currency_code="EUR")
    return record_findings(store, rule, found, seen, also=partial(tell, rule=rule, at=at) if tells else None)


def ask(store: OperationalStore, action: Any, *, at: datetime = NOW, request_id: str = "r-1", actor: str = "pam", **facts: Any) -> Handled:
    exception_id = facts.pop("exception_id", None) or rows_of(store, "exception")[0]["exception_id"]
    return handle(store, Handling(request_id=request_id, exception_id=exception_id, action=action, actor=actor, **facts), now=at)


def actions(store: OperationalStore) -> list[str]:
    return [row["action"] for row in sorted(rows_of(store, "exception_event"), key=lambda row: (row["at"], row["number"]))]


def test_a_subject_has_one_open_exception_however_often_it_is_seen(store: OperationalStore) -> None:
    first = look(store, TEA)
    again = look(store, replace(TEA, detail="TEA runs out tomorrow.", probability=0.9), at=NOW + DAY)

    (entry,) = list_exceptions(store, at=NOW)
    assert (first.raised, again.raised, again.again) == (1, 0, 1)
    assert (entry.seen_count, entry.detail, entry.expected_amount) == (2, "TEA runs out tomorrow.", Decimal("72.00"))
    assert (entry.opened_at, entry.due_at, entry.last_seen_at) == (NOW, NOW + DAY, NOW + DAY)
    assert actions(store) == ["raised"]


@pytest.mark.parametrize(
    ("day", "zone", "due_at"),
    [
        (date(2026, 11, 23), "UTC", datetime(2026, 11, 24)),
        (date(2026, 11, 23), "Asia/Tokyo", datetime(2026, 11, 23, 15)),
        (date(2026, 11, 25), "UTC", NOW + DAY),
        (date(2026, 11, 20), "UTC", NOW + DAY),
    ],
)
def test_an_exception_is_due_by_the_end_of_the_day_that_it_is_about(
    store: OperationalStore, day: date, zone: str, due_at: datetime
) -> None:
    seen = Look(look_id="a", at=NOW, as_of=date(2026, 11, 22), currency_code="EUR", time_zone=zone)

    record_findings(store, RULE, [replace(TEA, day=day)], seen)

    assert rows_of(store, "exception")[0]["due_at"] == due_at


def test_a_look_that_is_repeated_counts_once(store: OperationalStore) -> None:
    look(store, TEA)
    look(store, TEA)

    assert rows_of(store, "exception")[0]["seen_count"] == 1


def test_what_is_not_found_any_more_has_recovered_and_a_rule_without_a_look_lets_nothing_recover(store: OperationalStore) -> None:
    look(store, TEA, CUP)

    counts = look(store, CUP, at=NOW + DAY)

    by_subject = {row["subject"]: row for row in rows_of(store, "exception")}
    assert (counts.recovered, counts.again) == (1, 1)
    assert by_subject[TEA.subject]["resolution_code"] == "recovered"
    assert by_subject[CUP.subject]["resolved_at"] is None
    assert actions(store) == ["raised", "raised", "resolved"]


def test_a_promise_that_was_missed_keeps_its_exception_until_nobody_waits_any_more_and_raises_none(people: OperationalStore) -> None:
    missed, unknown = (replace(one, detail="The promise is missed.", raises=False) for one in (TEA, CUP))
    look(people, TEA)
    ask(people, "acknowledge")

    days = [look(people, missed, unknown, at=NOW + DAY * number) for number in (1, 2)]
    (entry,) = list_exceptions(people, at=NOW)
    gone = look(people, at=NOW + DAY * 3)

    assert [(one.raised, one.again, one.recovered) for one in days] == [(0, 1, 0)] * 2
    assert (entry.state, entry.detail) == ("acknowledged", "The promise is missed.")
    assert gone.recovered == 1


def test_a_promise_that_was_missed_is_not_raised_again_once_a_person_settled_it(people: OperationalStore) -> None:
    look(people, TEA)
    ask(people, "resolve", resolution_code="fixed")

    later = [look(people, replace(TEA, raises=False), at=NOW + DAY * number) for number in (1, 5)]

    assert [(one.raised, one.again) for one in later] == [(0, 0)] * 2
    assert list_exceptions(people, at=NOW) == []


@pytest.mark.parametrize(("hours", "exceptions"), [(35, 1), (37, 2)])
def test_what_comes_back_within_the_quiet_hours_is_the_same_exception(store: OperationalStore, hours: int, exceptions: int) -> None:
    look(store, TEA)
    look(store, at=NOW + DAY)

    look(store, TEA, at=NOW + DAY + timedelta(hours=hours))

    assert len(rows_of(store, "exception")) == exceptions
    assert sum(row["resolved_at"] is None for row in rows_of(store, "exception")) == 1


def test_a_false_alarm_stays_away_as_long_as_it_lasts_and_comes_anew_after_it_was_gone(people: OperationalStore) -> None:
    look(people, TEA)
    ask(people, "resolve", resolution_code="false_alarm")
    lasting = [look(people, TEA, at=NOW + DAY * number) for number in range(1, 6)]
    for number in (6, 7):
        look(people, at=NOW + DAY * number)

    anew = look(people, TEA, at=NOW + DAY * 8)

    assert [(one.raised, one.settled) for one in lasting] == [(0, 1)] * 5
    assert (anew.raised, len(rows_of(people, "exception"))) == (1, 2)


def test_what_was_accepted_stays_away_from_a_rule_that_looks_more_seldom_than_it_is_quiet(people: OperationalStore) -> None:
    rule = replace(RULE, quiet_hours=12)
    look(people, TEA, rule=rule)
    ask(people, "resolve", resolution_code="accepted")
    lasting = [look(people, TEA, at=NOW + DAY * number, rule=rule) for number in (1, 2, 3)]
    look(people, at=NOW + DAY * 4, rule=rule)

    anew = look(people, TEA, at=NOW + DAY * 5, rule=rule)

    assert [(one.raised, one.settled) for one in lasting] == [(0, 1)] * 3
    assert anew.raised == 1


def test_what_was_said_to_be_fixed_and_is_not_comes_anew_after_the_quiet_hours(people: OperationalStore) -> None:
    look(people, TEA)
    ask(people, "resolve", resolution_code="fixed", note="Ordered by phone")

    soon, later = look(people, TEA, at=NOW + DAY), look(people, TEA, at=NOW + DAY * 2)

    assert (soon.raised, soon.settled, later.raised) == (0, 1, 1)


def test_people_acknowledge_snooze_assign_and_resolve_and_every_step_is_kept(people: OperationalStore) -> None:
    look(people, TEA)
    states = [
        ask(people, "acknowledge", request_id="a", note="Supplier called").state,
        ask(people, "snooze", request_id="b", until=NOW + DAY).state,
        ask(people, "assign", request_id="c", owner="tom", at=NOW + timedelta(hours=25)).state,
        ask(people, "resolve", request_id="d", resolution_code="accepted", at=NOW + timedelta(hours=26)).state,
    ]

    entry, events = find_exception(people, rows_of(people, "exception")[0]["exception_id"][:6])
    assert states == ["acknowledged", "snoozed", "acknowledged", "resolved"]
    assert [(one.actor, one.action, one.to_state) for one in events] == [
        ("ordercast", "raised", "open"), ("pam", "acknowledged", "acknowledged"), ("pam", "snoozed", "snoozed"),
        ("pam", "assigned", "acknowledged"), ("pam", "resolved", "resolved"),
    ]  # fmt: skip
    assert events[3].facts == {"owner": "tom", "owner_before": "purchasing"}
    assert (entry.owner, entry.resolution) == ("tom", "It is so, and nothing is to be done.")


def test_one_key_has_one_effect_and_stands_for_one_request(people: OperationalStore) -> None:
    look(people, TEA)
    first, second = (ask(people, "resolve", resolution_code="fixed") for _ in range(2))

    with pytest.raises(KeyReusedError):
        ask(people, "resolve", resolution_code="false_alarm")
    assert (first.is_repeated, second.is_repeated, first.state, second.state) == (False, True, "resolved", "resolved")
    assert actions(people) == ["raised", "resolved"]


@pytest.mark.parametrize(
    ("action", "facts", "error", "said"),
    [
        ("acknowledge", {"actor": "vic"}, NotPermittedError, "takes a planner"),
        ("acknowledge", {"actor": "eve"}, NotPermittedError, "no operator"),
        ("snooze", {"until": NOW - DAY}, AlertError, "later than now"),
        ("resolve", {"resolution_code": "recovered"}, AlertError, "fixed, accepted, false_alarm"),
        ("assign", {"owner": " "}, AlertError, "operator or a team"),
        ("acknowledge", {"exception_id": "nothing"}, AlertError, "no exception"),
    ],
)
def test_what_may_not_be_changes_nothing(people: OperationalStore, action: Any, facts: dict[str, Any], error: Any, said: str) -> None:
    look(people, TEA)
    before = rows_of(people, "exception")

    with pytest.raises(error, match=said):
        ask(people, action, **facts)

    assert rows_of(people, "exception") == before
    assert actions(people) == ["raised"]


def test_history_cannot_be_rewritten(store: OperationalStore) -> None:
    look(store, TEA)

    for statement in ("UPDATE exception_event SET actor = 'else'", "DELETE FROM exception_event"):
        with pytest.raises(Exception, match="append-only"), store.transaction() as conn:
            conn.execute(sa.text(statement))


def test_what_is_critical_comes_first_and_then_what_costs_most(store: OperationalStore) -> None:
    look(store, TEA, CUP)
    failed = replace(RULE, rule_id="run-failed", kind="run_failed", severity="critical", owner="operations")
    look(store, Finding(subject="ordercast/ingest", title="Run", detail="It stopped.", link="health"), rule=failed)

    ranked = list_exceptions(store, at=NOW)

    assert [one.title for one in ranked] == ["Run", "CUP at L1", "TEA at L1"]
    assert [one.title for one in list_exceptions(store, owner="operations", at=NOW)] == ["Run"]


def test_two_evaluators_at_once_raise_one_exception(store_url: str) -> None:
    ready = threading.Barrier(4)
    raised: list[int] = []

    def evaluate() -> None:
        with OperationalStore.open(store_url) as mine:
            ready.wait()
            raised.append(look(mine, TEA, CUP, tells=True).raised)

    workers = [threading.Thread(target=evaluate) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    with OperationalStore.open(store_url) as store:
        assert sorted(raised) == [0, 0, 0, 2]
        assert len(rows_of(store, "exception")) == len(rows_of(store, "exception_event")) == 2
        assert len(rows_of(store, "outbox")) == 1


def test_the_channel_is_told_once_of_what_is_raised_and_once_when_it_is_over(store: OperationalStore, tmp_path: Path) -> None:
    folder = Folder(tmp_path, "json")
    for number in range(4):
        found = [TEA, CUP] if number < 2 else []
        look(store, *found, at=NOW + DAY * number, tells=True)
        deliver(store, folder, attempts=3, clock=lambda at=NOW + DAY * number: at)  # type: ignore[misc]
    look(store, at=NOW + DAY * 4, tells=True)
    counts = deliver(store, folder, attempts=3, clock=lambda: NOW + DAY * 5)

    told = sorted((json.loads(file.read_text()) for file in tmp_path.glob("*.json")), key=lambda one: one["timestamp"])
    assert [(one["type"], one["data"]["count"]) for one in told] == [("alert.raised", 2), ("alert.resolved", 2)]
    assert [one["title"] for one in told[0]["data"]["exceptions"]] == ["CUP at L1", "TEA at L1"]
    assert counts.sent == 1


def test_what_is_over_before_it_was_told_is_never_told(store: OperationalStore) -> None:
    look(store, TEA)
    look(store, at=NOW + DAY)

    look(store, at=NOW + DAY * 5, tells=True)

    assert rows_of(store, "outbox") == []


class DyingTarget:
    """It takes the message and dies before it can be noted; `kept` is what the receiver has, by key."""

    honours_key = True
    address = "test"

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.dies = True

    def send(self, message: Message) -> Outcome:
        self.kept[message.idem_key] = self.kept.get(message.idem_key, 0) + 1
        if self.dies:
            raise KeyboardInterrupt
        return Outcome("delivered", "taken")


def test_a_crash_between_sending_and_noting_it_leads_to_the_same_message_again_and_no_other(store: OperationalStore) -> None:
    look(store, TEA, tells=True)
    target = DyingTarget()
    with pytest.raises(KeyboardInterrupt):
        deliver(store, target, attempts=5, clock=lambda: NOW)
    target.dies = False
    look(store, TEA, at=NOW + DAY, tells=True)

    deliver(store, target, attempts=5, clock=lambda: NOW + LEASE)
    deliver(store, target, attempts=5, clock=lambda: NOW + DAY)

    assert list(target.kept.values()) == [2]
    assert [row["state"] for row in rows_of(store, "outbox")] == ["sent"]


def test_an_alert_that_nobody_knows_the_fate_of_is_settled_by_a_planner(people: OperationalStore) -> None:
    look(people, TEA, tells=True)
    (message,) = list_messages(people)
    with people.transaction() as conn:
        conn.execute(sa.text("UPDATE outbox SET state = 'unknown'"))

    settled = settle(people, message.idem_key[:12], is_delivered=True, actor="pam")

    assert (settled.state, settled.rec_id, settled.action) == ("sent", None, "alert.raised")
    assert len(list_exceptions(people, at=NOW)) == 1


def test_each_owner_has_one_digest_a_day_with_what_is_new_overdue_and_over(people: OperationalStore) -> None:
    look(people, TEA, CUP)
    first = make_digests(people, at=NOW)
    sent = [send_digests(people, first, at=NOW) for _ in range(2)]
    look(people, CUP, at=NOW + DAY * 2)

    (second,) = make_digests(people, at=NOW + DAY * 2)

    assert (sent, first[0].new, first[0].overdue) == ([1, 0], 2, 0)
    assert (second.owner, second.since, second.new, second.overdue) == ("purchasing", NOW, 0, 1)
    assert [[one.title for one in part] for part in (second.open, second.resolved)] == [["CUP at L1"], ["TEA at L1"]]


@pytest.mark.parametrize("way", ["disabled", "reverted"])
def test_exceptions_of_a_rule_that_counts_no_more_are_over_and_no_others(people: OperationalStore, way: str) -> None:
    look(people, TEA)
    look(people, CUP, rule=replace(RULE, rule_id="data-late"))
    with people.transaction() as conn:
        conn.execute(sa.text("INSERT INTO exception (exception_id, kind, detail, opened_at) VALUES ('e', 'draft_not_submitted', 'x', :at)"),
                     {"at": NOW if people.dialect == "postgresql" else NOW.isoformat(sep=" ")})  # fmt: skip
    if way == "disabled":
        rule_book.write_version(people, replace(RULE, is_enabled=False), is_new=False, reason="Too many", actor="ada")
    else:
        rule_book.revert(people, "stock-out", reason="Too many", actor="ada")

    ended = end_other_rules(people, [one.rule_id for one in rule_book.standing_rules(people) if one.is_enabled], at=NOW)

    assert ended == 1
    assert {one.subject for one in list_exceptions(people, at=NOW)} == {CUP.subject, None}


def test_every_store_has_the_default_rules_and_what_people_make_of_them_stays(people: OperationalStore) -> None:
    before = {one.rule_id for one in rule_book.standing_rules(people)}
    told = replace(rule_book.standing_rule(people, "stock-out"), parameters={"probability": "0.9"})
    changed = rule_book.write_version(people, told, is_new=False, reason="Only what is nearly certain", actor="ada")
    people.migrate()
    gone, again = rule_book.revert(people, "stock-out", reason="Too few", actor="ada")

    assert {"run-failed", "data-late", "stock-out", "order-jeopardy", "return-spike", "supplier-late", "forecast-drift"} < before
    assert (changed.name, changed.told("probability")) == ("stock-out/2", 0.9)
    assert (gone.name, again.name if again else None) == ("stock-out/2", "stock-out/1")
    assert len(rule_book.list_versions(people, "stock-out")) == 2


@pytest.mark.parametrize(
    ("facts", "actor", "said"),
    [
        ({"rule_id": "stock-out"}, "ada", "already"),
        ({"rule_id": "new one"}, "ada", "no name for a rule"),
        ({"rule_id": "mine"}, "pam", "takes an admin"),
    ],
)
def test_a_rule_that_may_not_be_added_is_not(people: OperationalStore, facts: dict[str, Any], actor: str, said: str) -> None:
    before = len(rows_of(people, "alert_rule"))

    with pytest.raises((AlertError, NotPermittedError), match=said):
        rule_book.write_version(people, replace(RULE, **facts), is_new=True, reason="Because", actor=actor)

    assert len(rows_of(people, "alert_rule")) == before


def test_alerts_are_judged_by_what_the_data_says_later(people: OperationalStore) -> None:
    jug = replace(TEA, subject="item:JUG@L1")
    look(people, TEA, CUP, jug)
    ids = {row["subject"]: row["exception_id"] for row in rows_of(people, "exception")}
    ask(people, "resolve", resolution_code="fixed", exception_id=ids[jug.subject])
    waiting = {one.subject: one for one in waiting_for_outcome(people)}

    came_about = Ending(came_about=True, day=date(2026, 11, 26))
    verdicts = {
        one.exception_id: judge(one, came_about if one.subject == TEA.subject else Ending(came_about=False)) for one in waiting.values()
    }
    save_verdicts(people, verdicts)

    (precision,) = rule_precision(people)
    assert (precision.right, precision.wrong, precision.averted) == (1, 1, 1)
    assert (precision.precision_rate, precision.lead_days_p50) == (0.5, 4.0)
    assert waiting_for_outcome(people) == []


@pytest.mark.parametrize(
    ("done", "verdict"),
    [((), "wrong"), (("acknowledge",), "averted"), (("accepted",), "averted"), (("acknowledge", "false_alarm"), "wrong")],
)
def test_what_did_not_come_about_was_averted_where_somebody_was_at_it(
    people: OperationalStore, done: tuple[str, ...], verdict: str
) -> None:
    look(people, TEA)
    for action in done:
        code = None if action == "acknowledge" else action
        ask(people, "resolve" if code else action, request_id=action, resolution_code=code)
    look(people, at=NOW + DAY)

    (one,) = waiting_for_outcome(people)

    assert judge(one, Ending(came_about=False)) == (verdict, None)


def test_an_alert_with_nothing_left_to_judge_has_no_verdict_and_waits_for_none(people: OperationalStore) -> None:
    look(people, replace(TEA, promise_kind="delivery"))
    (one,) = waiting_for_outcome(people)

    save_verdicts(people, {one.exception_id: judge(one, Ending(came_about=None))})

    (precision,) = rule_precision(people)
    assert one.promise_kind == "delivery"
    assert (precision.alerts, precision.right, precision.wrong, precision.averted) == (1, 0, 0, 0)
    assert waiting_for_outcome(people) == []


def test_a_later_promise_of_the_order_does_not_change_which_one_is_judged(store: OperationalStore) -> None:
    look(store, replace(TEA, promise_kind="ship"))
    look(store, replace(TEA, promise_kind="delivery", judged_after=date(2026, 12, 4)), at=NOW + DAY)

    (one,) = waiting_for_outcome(store)

    assert (one.promise_kind, one.judged_after) == ("ship", date(2026, 11, 30))


def test_the_tables_go_back_a_version_and_forward_again_with_what_decisions_left(store: OperationalStore) -> None:
    look(store, TEA, tells=True)
    with store.transaction() as conn:
        conn.execute(sa.text("INSERT INTO exception (exception_id, kind, detail, opened_at) VALUES ('e', 'draft_not_submitted', 'x', :at)"),
                     {"at": NOW if store.dialect == "postgresql" else NOW.isoformat(sep=" ")})  # fmt: skip

    store.migrate(to="0014")
    store.migrate()

    assert [(one.exception_id, one.title) for one in list_exceptions(store, at=NOW)] == [("e", "Draft not submitted")]
    assert rows_of(store, "outbox") == []
