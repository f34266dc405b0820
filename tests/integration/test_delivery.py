"""Messages leave the outbox once: what every answer of a real receiver leads to, on both databases."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pipelines.decisions.audit import verify
from pipelines.decisions.messages import UNDELIVERED, message_key
from pipelines.decisions.service import decide
from pipelines.decisions.upkeep import follow_shop
from pipelines.delivery.folder import Folder
from pipelines.delivery.outbox import LEASE, DeliveryCounts, deliver, utc_now
from pipelines.delivery.settling import list_messages, resend, settle
from pipelines.delivery.webhook import Webhook
from pipelines.errors import DecisionError, NotPermittedError
from pipelines.stores.operational import MIGRATIONS, VERSION_TABLE
from tests.integration.decision_shop import NOW, ORDER_TABLES, change_shop, open_shop, request, rows_of, status_of
from tests.integration.receivers import SECRET, HttpReceiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.delivery.message import Message, Outcome, Target
    from pipelines.stores.operational import OperationalStore

ATTEMPTS = 3
DAY = timedelta(days=1)  # longer than any pause between attempts


class Clock:
    """A clock that stands until it is moved; it begins after everything that was decided."""

    def __init__(self) -> None:
        self.moved = timedelta(minutes=1)

    def __call__(self) -> datetime:
        return utc_now() + self.moved


@pytest.fixture
def web() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop(store: OperationalStore) -> list[str]:
    """Three approvals for a target outside; ITEM-1's decision is d-0."""
    rec_ids = open_shop(store, items=3, without=ORDER_TABLES)
    for number, rec_id in enumerate(rec_ids):
        decide(store, request(rec_id, decision_id=f"d-{number}"), now=NOW)
    return rec_ids


def webhook(web: HttpReceiver, *, honours_key: bool = False) -> Webhook:
    return Webhook(web.url, base64.b64decode(SECRET.removeprefix("whsec_")), 0.5, honours_key)


def states(store: OperationalStore) -> list[str]:
    """Of the messages, in the order they were written."""
    return [row["state"] for row in sorted(rows_of(store, "outbox"), key=lambda row: row["created_at"])]


def open_exceptions(store: OperationalStore) -> list[dict[str, Any]]:
    return [row for row in rows_of(store, "exception") if row["kind"] == UNDELIVERED and row["resolved_at"] is None]


def test_every_message_arrives_once_and_the_next_round_has_nothing_to_do(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    first = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    second = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert (first, second) == (DeliveryCounts(sent=3), DeliveryCounts())
    assert web.keys == [message_key(f"d-{number}") for number in range(3)]
    assert [json.loads(body)["data"]["rec_id"] for _, body in web.requests] == shop
    assert follow_shop(store, draft_days=3, now=NOW).applied == 3


def test_what_failed_is_tried_again_later_with_the_same_key_and_body(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = [500]

    first = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    at_once = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    clock.moved += DAY
    later = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert (first, at_once, later) == (DeliveryCounts(sent=2, put_off=1), DeliveryCounts(), DeliveryCounts(sent=1))
    assert web.keys[0] == web.keys[3]
    assert web.requests[0][1] == web.requests[3][1]


def test_pauses_grow_and_are_never_shorter_than_the_receiver_asks(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = [500, 200, 200, 500, 503]
    pauses = []
    for _ in range(3):
        web.headers = {"Retry-After": "43200"} if web.script == [503] else {}
        deliver(store, webhook(web), attempts=9, clock=clock)
        (entry,) = list_messages(store)
        pauses.append((entry.next_at or NOW) - clock())
        clock.moved += DAY

    assert timedelta(seconds=14) < pauses[0] < timedelta(seconds=31)
    assert timedelta(seconds=29) < pauses[1] < timedelta(seconds=61)
    assert timedelta(hours=11, minutes=59) < pauses[2]


def test_what_cannot_be_delivered_becomes_a_dead_letter_with_an_exception_for_who_approved(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = [500, 200, 200, 500, 500]

    counts = []
    for _ in range(ATTEMPTS + 1):
        counts.append(deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock))
        clock.moved += DAY

    (letter,), (owed,) = list_messages(store), open_exceptions(store)
    assert [one.dead for one in counts] == [0, 0, 1, 0]
    assert (letter.state, letter.attempts, letter.next_at, len(web.requests)) == ("dead", ATTEMPTS, None, 5)
    assert (owed["owner"], owed["rec_id"]) == ("ann", shop[0])
    assert "answered 500" in owed["detail"]
    assert status_of(store, shop[0])[0] == "approved"


def test_a_refusal_fails_the_recommendation_and_releases_its_units_until_it_is_undone(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = [410]

    counts = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    status, version = status_of(store, shop[0])
    (line,) = [row for row in rows_of(store, "draft_order_line") if row["rec_id"] == shop[0]]
    assert (counts, status) == (DeliveryCounts(sent=2, refused=1), "failed")
    assert line["released_at"] is not None
    assert [one["rec_id"] for one in open_exceptions(store)] == [shop[0]]
    decide(store, request(shop[0], "undo", version=version), now=NOW)
    assert (status_of(store, shop[0])[0], open_exceptions(store), states(store)) == ("proposed", [], ["cancelled", "sent", "sent"])
    assert verify(store).problems == ()


@pytest.mark.parametrize("answer", ["cut", "hang"])
def test_what_got_no_answer_is_unknown_and_never_sent_again_by_itself(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock, answer: str
) -> None:
    web.script = [answer]

    first = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    for _ in range(2):
        clock.moved += DAY
        deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert first == DeliveryCounts(unknown=1)  # the others were not tried on a receiver that does not answer
    assert states(store) == ["unknown", "sent", "sent"]
    assert len(web.keys) == len(set(web.keys)) == 3
    assert [one["rec_id"] for one in open_exceptions(store)] == [shop[0]]


def test_a_receiver_that_honours_the_key_gets_what_is_unknown_again(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = ["cut"]

    first = deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)
    clock.moved += DAY
    deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)

    assert first == DeliveryCounts(put_off=1)
    assert states(store) == ["sent", "sent", "sent"]
    assert web.keys.count(message_key("d-0")) == 2


@pytest.mark.parametrize("later", [[500, 500], [409]])
def test_a_message_that_may_have_arrived_is_never_called_dead_or_refused(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock, later: list[int]
) -> None:
    web.script = ["cut", *later[:1], 200, 200, *later[1:]]

    for _ in range(ATTEMPTS):
        deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)
        clock.moved += DAY

    assert states(store) == ["unknown", "sent", "sent"]
    assert status_of(store, shop[0])[0] == "approved"


def test_what_may_have_arrived_at_one_target_is_not_sent_to_another(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock, tmp_path: Path
) -> None:
    web.script = ["cut"]
    deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)
    clock.moved += DAY

    counts = deliver(store, Folder(tmp_path, "csv"), attempts=ATTEMPTS, clock=clock)

    (doubtful,) = list_messages(store)
    assert (counts, doubtful.state) == (DeliveryCounts(sent=2, unknown=1), "unknown")
    assert "webhook http://127.0.0.1" in (doubtful.last_error or "")
    assert not (tmp_path / f"{message_key('d-0')}.csv").exists()


def test_a_deliverer_that_dies_with_a_message_leaves_it_unknown(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    with pytest.raises(KeyboardInterrupt):
        deliver(store, Dying(webhook(web)), attempts=ATTEMPTS, clock=clock)

    meanwhile = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    while_held = states(store)
    clock.moved += LEASE
    after = deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert (meanwhile, while_held) == (DeliveryCounts(sent=2), ["sending", "sent", "sent"])
    assert (after, states(store)) == (DeliveryCounts(unknown=1), ["unknown", "sent", "sent"])
    assert message_key("d-0") not in web.keys


def test_a_receiver_that_honours_the_key_gets_what_a_dead_deliverer_held(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    with pytest.raises(KeyboardInterrupt):
        deliver(store, Dying(webhook(web)), attempts=ATTEMPTS, clock=clock)
    clock.moved += LEASE

    first = deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)
    clock.moved += DAY
    deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)

    assert first == DeliveryCounts(sent=2, put_off=1)
    assert states(store) == ["sent", "sent", "sent"]


def test_a_deliverer_that_was_held_up_sends_nothing_that_is_not_its_own_any_more(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    times = iter([timedelta(), timedelta(), LEASE])

    def stopping() -> datetime:
        clock.moved += next(times, timedelta())
        return clock()

    deliver(store, webhook(web), attempts=ATTEMPTS, clock=stopping)

    assert web.keys == [message_key("d-1"), message_key("d-2")]
    assert states(store) == ["pending", "sent", "sent"]


def test_who_was_slow_but_alive_says_what_became_of_the_message(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    def another_round() -> None:
        clock.moved += LEASE
        deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
        assert states(store)[0] == "unknown"

    counts = deliver(store, Interrupted(webhook(web), another_round), attempts=ATTEMPTS, clock=clock)

    assert (counts, states(store)) == (DeliveryCounts(sent=1), ["sent", "sent", "sent"])
    assert open_exceptions(store) == []
    assert len(web.keys) == len(set(web.keys)) == 3


def test_what_a_person_settled_stays_settled(store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock) -> None:
    def a_person_settles() -> None:
        clock.moved += LEASE
        deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
        settle(store, message_key("d-0"), is_delivered=False, actor="ann")

    deliver(store, Interrupted(webhook(web), a_person_settles), attempts=ATTEMPTS, clock=clock)

    assert states(store)[0] == "dead"


def test_a_person_settles_what_is_unknown(store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock) -> None:
    web.script = ["cut"]
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    settled = settle(store, message_key("d-0")[:9], is_delivered=True, actor="pam")

    assert settled.state == "sent"
    assert open_exceptions(store) == []
    assert follow_shop(store, draft_days=3, now=NOW).applied == 1
    assert verify(store).problems == ()


@pytest.mark.parametrize("answer", ["cut", 410])
def test_a_person_has_a_message_sent_again(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock, answer: int | str
) -> None:
    web.script = [answer]
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    resend(store, message_key("d-0"), actor="pam")
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert (web.keys.count(message_key("d-0")), states(store)) == (2, ["sent", "sent", "sent"])
    assert follow_shop(store, draft_days=3, now=NOW).applied == 3
    assert open_exceptions(store) == []


def test_only_who_may_decide_says_what_became_of_a_message(store: OperationalStore, shop: list[str]) -> None:
    change_shop(store, "UPDATE outbox SET state = 'unknown'")

    with pytest.raises(NotPermittedError):
        resend(store, message_key("d-0"), actor="vic")
    with pytest.raises(NotPermittedError):
        settle(store, message_key("d-0"), is_delivered=True, actor="nobody")

    assert states(store) == ["unknown"] * 3


@pytest.mark.parametrize("state", ["sending", "sent", "cancelled"])
def test_what_is_on_its_way_or_done_is_not_sent_again(store: OperationalStore, shop: list[str], state: str) -> None:
    change_shop(store, "UPDATE outbox SET state = :state", state=state)

    with pytest.raises(DecisionError, match="Message msg_"):
        resend(store, message_key("d-0"), actor="ann")
    with pytest.raises(DecisionError, match="More than one message begins with 'msg_'"):
        resend(store, "msg_", actor="ann")

    assert set(states(store)) == {state}


def test_an_undone_approval_that_has_arrived_is_cancelled_at_the_receiver(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    decide(store, request(shop[0], "undo", version=2, decision_id="u"), now=NOW)
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    told = json.loads(web.requests[-1][1])
    assert (told["type"], told["data"]["cancels"], web.keys[-1]) == ("draft_line.cancel", message_key("d-0"), message_key("u"))


def test_an_undone_approval_that_has_not_left_leaves_no_trace_outside(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    decide(store, request(shop[0], "undo", version=2), now=NOW)

    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert web.keys == [message_key("d-1"), message_key("d-2")]


@pytest.mark.parametrize(("state", "why"), [("sending", "being delivered at this moment"), ("unknown", "Nobody knows whether")])
def test_an_approval_whose_message_may_be_arriving_cannot_be_undone(store: OperationalStore, shop: list[str], state: str, why: str) -> None:
    change_shop(store, "UPDATE outbox SET state = :state", state=state)

    with pytest.raises(DecisionError, match=why):
        decide(store, request(shop[0], "undo", version=2), now=NOW)

    assert status_of(store, shop[0])[0] == "approved"


def test_what_may_have_arrived_before_it_was_put_off_is_cancelled_at_the_receiver_too(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    web.script = ["cut"]
    deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)

    decide(store, request(shop[0], "undo", version=2), now=NOW)
    deliver(store, webhook(web, honours_key=True), attempts=ATTEMPTS, clock=clock)

    assert states(store) == ["cancelled", "sent", "sent", "sent"]
    assert json.loads(web.requests[-1][1])["type"] == "draft_line.cancel"


def test_messages_about_one_recommendation_arrive_in_their_order(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    decide(store, request(shop[0], "undo", version=2, decision_id="u"), now=NOW)
    decide(store, request(shop[0], version=3, decision_id="again"), now=NOW)
    change_shop(store, "UPDATE outbox SET created_at = '2000-01-01 00:00:00' WHERE decision_id = 'again'")  # a clock that went back
    web.script = [500]

    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)
    waiting = {one.decision_id: one.waits_for for one in list_messages(store)}
    clock.moved += DAY
    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert waiting == {"u": None, "again": message_key("u")}
    assert web.keys[3:] == [message_key("u"), message_key("u"), message_key("again")]


def test_the_key_outside_is_plain_whatever_the_caller_called_the_decision(store: OperationalStore, web: HttpReceiver, clock: Clock) -> None:
    rec_id, _ = open_shop(store, without=ORDER_TABLES)
    decide(store, request(rec_id, decision_id="../../x\r\nwebhook-signature: v1,a.b"), now=NOW)

    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    ((headers, _),) = web.requests
    assert headers["webhook-id"].removeprefix("msg_").isalnum()
    assert len(headers["webhook-id"]) == 36


def test_the_outbox_migrates_back_and_forth_with_its_messages(
    store: OperationalStore, shop: list[str], web: HttpReceiver, clock: Clock
) -> None:
    decide(store, request(shop[0], "undo", version=2), now=NOW)
    change_shop(store, "UPDATE outbox SET state = 'sending' WHERE decision_id = 'd-1'")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE
    with store.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0004")
    with store.transaction(writes=False) as conn:
        before = {row.idem_key: row.state for row in conn.execute(sa.text("SELECT * FROM outbox"))}
    assert list_messages(store) == []
    store.migrate()

    deliver(store, webhook(web), attempts=ATTEMPTS, clock=clock)

    assert before == {"d-0": "dead", "d-1": "unknown", "d-2": "pending"}
    assert web.keys == [message_key("d-2")]


class Dying:
    """A target at which the deliverer dies with a message in its hands."""

    honours_key = False

    def __init__(self, target: Target) -> None:
        self.address = target.address

    def send(self, _message: Message) -> Outcome:
        raise KeyboardInterrupt


class Interrupted:
    """A target whose first answer takes so long that something else happens meanwhile."""

    honours_key = False

    def __init__(self, target: Target, meanwhile: Callable[[], None]) -> None:
        self.target, self.address = target, target.address
        self.meanwhile: Callable[[], None] | None = meanwhile

    def send(self, message: Message) -> Outcome:
        outcome = self.target.send(message)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return outcome
