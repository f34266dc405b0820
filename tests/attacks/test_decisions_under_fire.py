"""Decisions while connections are cut around COMMIT, servers crash and processes are killed: each has its one effect, none is lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections import Counter
from typing import TYPE_CHECKING

import psycopg

from pipelines.stores.operational import OperationalStore
from tests.attacks.decision_fire import Answer, Submit, findings, fire, looked_up_first, plan, unsound, with_key
from tests.attacks.sqlite_faults import process
from tests.attacks.tcp_proxy import CuttingProxy
from tests.integration.decision_shop import open_shop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.attacks.decision_fire import Send
    from tests.conftest import Size


class Chaos:
    """Listens to what people are told, and at some answers ends every session of the database, or crashes the server."""

    def __init__(self, server: str, url: str, *, submits: int, sessions_ended: int, crashes: int) -> None:
        self.answers: list[Answer] = []
        self.missed: list[Submit] = []
        self.crashes = self.sessions_ended = 0
        self._server, self._name = server, psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._lock = threading.Lock()
        evenly: Callable[[int], set[int]] = lambda times: {submits * (number + 1) // (times + 1) for number in range(times)}  # noqa: E731
        self._ends, self._crashes = evenly(sessions_ended), evenly(crashes)

    def told(self, answer: Answer) -> None:
        with self._lock:
            self.answers.append(answer)
            number = len(self.answers)
            try:
                if number in self._crashes:
                    self._crash()
                elif number in self._ends:
                    self._end_sessions()
            except psycopg.OperationalError:
                pass  # it is recovering from the crash before

    def _crash(self) -> None:
        """A server process that is killed takes all others with it, and the database is recovered from its log."""
        conn = psycopg.connect(self._server)
        os.kill(conn.info.backend_pid, signal.SIGKILL)
        conn.close()
        self.crashes += 1

    def _end_sessions(self) -> None:
        with psycopg.connect(self._server) as conn:
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name])
        self.sessions_ended += 1


def on_postgresql(server: str, url: str, people: Sequence[Sequence[Submit]], send: Send, *, hits: int) -> tuple[Chaos, Counter[str]]:
    chaos = Chaos(server, url, submits=sum(map(len, people)), sessions_ended=3 * hits, crashes=hits)
    with CuttingProxy(url, seed=1) as proxy:
        fire(proxy.url, people, send, told=chaos.told, missed=chaos.missed.append)
    return chaos, proxy.cuts


def on_sqlite(url: str, people: list[list[Submit]], sender: str, *, kills: int) -> tuple[list[Answer], Counter[str]]:
    """The database is locked at first; the process is killed again and again, and the next sends what got no answer, and some that did."""
    draw, counts, path = random.Random(1), Counter[str](), url.removeprefix("sqlite:///")
    answers: list[Answer] = []
    for number in range(kills + 1):
        locker = sqlite3.connect(path, isolation_level=None, timeout=60)
        if number == 0:
            locker.execute("BEGIN IMMEDIATE")
        child, said = process(url, people, sender=sender, seed=number)
        until = draw.randrange(sum(map(len, people)) // (kills + 1) * 2) if number < kills else -1
        heard = Counter[Submit]()
        for what in said:
            if locker.in_transaction:  # the first call has given up
                locker.rollback()
            if isinstance(what, Answer):
                answers.append(what)
                heard[what.submit] += 1
                if sum(heard.values()) == until:
                    child.kill()
                    counts["kills"] += 1
            else:
                counts["missed" if isinstance(what, Submit) else what] += 1
        locker.close()
        child.join()
        people = [[one for one in person if one not in heard or draw.random() < 0.1] for person in people]
    return answers, counts


def test_every_decision_has_one_effect_whatever_happens_to_postgresql(
    postgresql_server: str, postgresql_url: str, size: Size, tell: Callable[[str], None]
) -> None:
    recommendations = size(small=45, full=1_720)  # about 500 and 20,000 submits
    with OperationalStore.open(postgresql_url) as store:
        people = plan(open_shop(store, items=recommendations, products=5 * recommendations), seed=1)

        chaos, cuts = on_postgresql(postgresql_server, postgresql_url, people, with_key, hits=size(small=1, full=20))

        assert len(chaos.answers) == sum(map(len, people))
        assert findings(store, chaos.answers) == []
        assert unsound(store, chaos.answers) == []
    assert all(cuts[kind] for kind in ("before", "after", "anywhere"))
    assert min(chaos.crashes, chaos.sessions_ended) > 0
    tell(
        f"PostgreSQL: {len(chaos.answers):,} submits, connections cut {dict(cuts)}, {chaos.sessions_ended} times all sessions ended, "
        f"{chaos.crashes} crashes, {len(chaos.missed):,} calls without an answer: 0 duplicate orders, 0 lost decisions, audit valid"
    )


def test_every_decision_has_one_effect_whatever_happens_to_sqlite(sqlite_url: str, size: Size, tell: Callable[[str], None]) -> None:
    recommendations = size(small=45, full=1_720)
    with OperationalStore.open(sqlite_url) as store:
        people = plan(open_shop(store, items=recommendations, products=5 * recommendations), seed=2)

    answers, counts = on_sqlite(sqlite_url, people, "with_key", kills=size(small=3, full=100))

    with OperationalStore.open(sqlite_url) as store:
        assert {answer.submit for answer in answers} == {submit for person in people for submit in person}
        assert findings(store, answers) == []
        assert unsound(store, answers) == []
    assert all(counts[kind] for kind in ("before", "after", "missed", "kills"))
    tell(
        f"SQLite: {len(answers):,} submits, COMMIT failed before {counts['before']:,} and after {counts['after']:,} times, "
        f"{counts['kills']} times killed, {counts['missed']:,} calls without an answer: 0 duplicate orders, 0 lost decisions, audit valid"
    )


def test_the_same_fire_on_looking_up_first_orders_twice_and_loses_on_postgresql(postgresql_server: str, postgresql_url: str) -> None:
    with OperationalStore.open(postgresql_url) as store:
        people = plan(open_shop(store, items=8), seed=1, undone_every=0)

        chaos, _ = on_postgresql(postgresql_server, postgresql_url, people, looked_up_first, hits=1)

        assert_bitten(findings(store, chaos.answers))


def test_the_same_fire_on_looking_up_first_orders_twice_and_loses_on_sqlite(sqlite_url: str) -> None:
    with OperationalStore.open(sqlite_url) as store:
        people = plan(open_shop(store, items=8), seed=2, undone_every=0)

    answers, _ = on_sqlite(sqlite_url, people, "looked_up_first", kills=1)

    with OperationalStore.open(sqlite_url) as store:
        assert_bitten(findings(store, answers))


def assert_bitten(found: Sequence[str]) -> None:
    assert any(" times" in one for one in found)
    assert any("people were told" in one for one in found)
