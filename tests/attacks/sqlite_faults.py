"""A process that decides on SQLite while its commits break, and that is killed: how, and what it could still tell."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from pipelines.stores import connections
from pipelines.stores.operational import OperationalStore
from tests.attacks.decision_fire import Answer, Submit, fire, looked_up_first, with_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
SENDERS = {"with_key": with_key, "looked_up_first": looked_up_first}
BUSY_MS = 100


def break_commits(store: OperationalStore, *, seed: int, hit: Callable[[str], None], before: float = 0.15, after: float = 0.15) -> None:
    """Some commits of this store fail before they happen, some after, now as a lock and now as a failing disk."""
    draw, dialect = random.Random(seed), store.engine.dialect
    commit = dialect.do_commit

    def shaky(connection: Any) -> None:
        drawn, said = draw.random(), draw.choice(["database is locked", "disk I/O error"])
        if drawn < before:
            hit("before")
            raise sqlite3.OperationalError(said)
        commit(connection)
        if drawn < before + after:
            hit("after")
            raise sqlite3.OperationalError(said)

    dialect.do_commit = shaky  # type: ignore[method-assign]


def decide_in_process(url: str, people: Sequence[Sequence[Submit]], sender: str, seed: int, to_parent: Connection) -> None:
    """What the process does: `fire`, and tell each answer, each call without one and each broken commit as it comes."""
    connections.BUSY_TIMEOUT_MS = BUSY_MS  # type: ignore[misc]
    lock = threading.Lock()

    def say(what: object) -> None:
        with lock:
            to_parent.send(what)

    fire(
        url, people, SENDERS[sender], told=say, missed=say,
        arm=lambda store, number: break_commits(store, seed=seed * 100 + number, hit=say),
    )  # fmt: skip


def process(url: str, people: Sequence[Sequence[Submit]], *, sender: str, seed: int) -> tuple[Any, Iterator[Answer | Submit | str]]:
    """The process, begun, and what it says until it ends, by itself or killed."""
    from_child, to_parent = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=decide_in_process, args=(url, people, sender, seed, to_parent))
    child.start()
    to_parent.close()
    return child, _said(from_child)


def _said(from_child: Connection) -> Iterator[Answer | Submit | str]:
    with from_child:
        while True:
            try:
                yield from_child.recv()
            except EOFError:
                return
