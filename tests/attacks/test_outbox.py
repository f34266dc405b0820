"""Deliverers at once, deliverers that are killed, receivers that cut: nothing arrives twice, and nothing is lost without being said."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipelines.decisions import messages
from pipelines.decisions.service import decide
from pipelines.delivery.message import Message
from pipelines.delivery.outbox import LEASE, deliver, utc_now
from pipelines.delivery.webhook import Webhook
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import outbox
from tests.integration.decision_shop import NOW, ORDER_TABLES, open_shop, request, rows_of
from tests.integration.receivers import SECRET, HttpReceiver, http_receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pipelines.delivery.message import Target
    from tests.conftest import Size

    Deliverer = Callable[[OperationalStore, Target], object]

DELIVERERS = 4
ATTEMPTS = 9


def fill(store: OperationalStore, count: int) -> None:
    """The outbox holds so many messages, each about a recommendation of its own."""
    rec_ids = open_shop(store, items=count, products=count, without=ORDER_TABLES)
    at = datetime(2026, 7, 1, 9)
    rows = [
        {"idem_key": f"msg_{number:032d}", "decision_id": f"d-{number}", "rec_id": rec_id, "number": 1, "state": "pending", "attempts": 0,
         "payload": '{"action":"create","draft_id":"D","kind":"purchase"}', "next_at": at, "is_in_doubt": False, "created_at": at + timedelta(seconds=number)}
        for number, rec_id in enumerate(rec_ids)
    ]  # fmt: skip
    with store.transaction() as conn:
        conn.execute(sa.insert(outbox), rows)


def webhook(url: str) -> Webhook:
    return Webhook(url, base64.b64decode(SECRET.removeprefix("whsec_")), 5.0, honours_key=False)


def claiming(store: OperationalStore, target: Target) -> object:
    return deliver(store, target, attempts=ATTEMPTS, clock=lambda: utc_now() + timedelta(minutes=1))


def look_then_send(store: OperationalStore, target: Target) -> object:
    """What a deliverer without a claim does: read what is pending, send it, and mark it afterwards."""
    for row in [row for row in rows_of(store, "outbox") if row["state"] == "pending"]:
        target.send(Message(idem_key=row["idem_key"], rec_id=row["rec_id"], payload=row["payload"], created_at=NOW))
        with store.transaction() as conn:
            conn.execute(sa.update(outbox).where(outbox.c.idem_key == row["idem_key"]).values(state="sent"))
    return None


def race(url: str, web: HttpReceiver, deliverer: Deliverer) -> Counter[str]:
    """Deliverers work on one outbox at the same moment; returns how often each message arrived."""
    together = threading.Barrier(DELIVERERS)

    def work(store: OperationalStore) -> None:
        together.wait()
        deliverer(store, webhook(web.url))

    with ExitStack() as stack, ThreadPoolExecutor(DELIVERERS) as threads:
        stores = [stack.enter_context(OperationalStore.open(url)) for _ in range(DELIVERERS)]
        list(threads.map(work, stores))
    return Counter(web.keys)


def test_deliverers_at_once_never_send_one_message_twice(
    store: OperationalStore, store_url: str, size: Size, tell: Callable[[str], None]
) -> None:
    count = size(small=40, full=2_000)
    fill(store, count)

    with http_receiver() as web:
        arrived = race(store_url, web, claiming)

    assert arrived == Counter({row["idem_key"]: 1 for row in rows_of(store, "outbox")})
    assert {row["state"] for row in rows_of(store, "outbox")} == {"sent"}
    tell(f"outbox, {store.dialect}: {DELIVERERS} deliverers at once, {count:,} messages, {arrived.total():,} arrived, 0 twice")


def test_without_a_claim_the_same_race_sends_twice(store: OperationalStore, store_url: str) -> None:
    fill(store, 40)

    with http_receiver() as web:
        arrived = race(store_url, web, look_then_send)

    assert arrived.total() > 40


def undo_while_delivering(url: str, web: HttpReceiver, patch: pytest.MonkeyPatch, *, look: Callable[..., object]) -> str:
    """A deliverer works at the very moment in which an undo has looked at the message; returns what the message is afterwards."""
    with OperationalStore.open(url) as store, OperationalStore.open(url) as other, ThreadPoolExecutor(1) as thread:
        rec_id, _ = open_shop(store, without=ORDER_TABLES)
        decide(store, request(rec_id), now=NOW)

        def deliver_meanwhile() -> None:
            claiming(other, webhook(web.url))
            web.has_arrived.set()  # or nothing was there to be sent

        def looked(conn: sa.Connection, about: str) -> object:
            found = look(conn, about)
            ended.append(thread.submit(deliver_meanwhile))
            assert web.has_arrived.wait(30)
            return found

        ended: list[Future[None]] = []
        patch.setattr(messages, "newest_message", looked)
        decide(store, request(rec_id, "undo", version=2), now=NOW)
        ended[0].result()
        (row,) = rows_of(store, "outbox")
    return str(row["state"])


def look_without_a_lock(conn: sa.Connection, rec_id: str) -> object:
    return conn.execute(sa.select(outbox).where(outbox.c.rec_id == rec_id)).mappings().first()


# SQLite has one writer: there the deliverer waits for the undo, whatever the undo locks.
def test_an_undo_and_a_deliverer_at_one_moment_leave_one_truth(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as web:
        state = undo_while_delivering(postgresql_url, web, monkeypatch, look=messages.newest_message)

    assert (state, web.keys) == ("cancelled", [])


def test_an_undo_that_only_looks_calls_off_what_has_arrived(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as web:
        state = undo_while_delivering(postgresql_url, web, monkeypatch, look=look_without_a_lock)

    assert (state, len(web.keys)) == ("cancelled", 1)  # the receiver orders what was undone


KILLED = """
    import base64, os, signal, sys
    from datetime import timedelta
    from pipelines.delivery.outbox import deliver, utc_now
    from pipelines.delivery.webhook import Webhook
    from pipelines.stores.operational import OperationalStore

    url, receiver, secret, moment, number = sys.argv[1:]

    class Killed(Webhook):
        left = int(number)

        def send(self, message):
            Killed.left -= 1
            if Killed.left == 0 and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            outcome = super().send(message)
            if Killed.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return outcome

    target = Killed(receiver, base64.b64decode(secret), 5.0, False)
    with OperationalStore.open(url) as store:
        {deliverer}
"""
WITH_CLAIM = "deliver(store, target, attempts=9, clock=lambda: utc_now() + timedelta(minutes=1))"
WITHOUT = "from tests.attacks.test_outbox import look_then_send; look_then_send(store, target)"


def kill(url: str, web: HttpReceiver, *, deliverer: str, moment: str, number: int) -> None:
    """A deliverer in a process of its own is killed at its n-th message, before or after that was sent."""
    code = textwrap.dedent(KILLED).replace("{deliverer}", deliverer)
    arguments = [url, web.url, SECRET.removeprefix("whsec_"), moment, str(number)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert ended.returncode == -signal.SIGKILL


def test_a_killed_deliverer_loses_nothing_and_repeats_nothing(
    store: OperationalStore, store_url: str, size: Size, tell: Callable[[str], None]
) -> None:
    kills = size(small=2, full=100)
    fill(store, 3 * kills)
    passed = timedelta(minutes=1)

    with http_receiver() as web:
        for turn in range(kills):
            kill(store_url, web, deliverer=WITH_CLAIM, moment="after" if turn % 2 else "before", number=1 + turn % 3)
        passed += LEASE
        deliver(store, webhook(web.url), attempts=ATTEMPTS, clock=lambda: utc_now() + passed)

    states = {row["idem_key"]: row["state"] for row in rows_of(store, "outbox")}
    arrived = Counter(web.keys)
    unknown = [key for key, state in states.items() if state == "unknown"]
    assert max(arrived.values()) == 1
    assert all(arrived[key] == 1 for key, state in states.items() if state == "sent")
    assert set(states.values()) == {"sent", "unknown"}
    assert len(unknown) == kills
    tell(
        f"outbox, {store.dialect}: {kills:,} deliverers killed, {len(states):,} messages, 0 twice, {len(unknown):,} unknown, of which "
        f"{sum(arrived[key] for key in unknown):,} had arrived"
    )


def test_without_a_claim_a_killed_deliverer_repeats_what_it_sent(store: OperationalStore, store_url: str) -> None:
    fill(store, 2)

    with http_receiver() as web:
        kill(store_url, web, deliverer=WITHOUT, moment="after", number=1)
        look_then_send(store, webhook(web.url))

    assert max(Counter(web.keys).values()) == 2
