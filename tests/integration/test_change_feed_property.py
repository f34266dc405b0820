"""Whatever writers do, and whenever a reader looks: its mirror is the source, once the writers are done."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.stores.change_feed import FeedPosition, install_feed, read_changes
from pipelines.stores.operational import OperationalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

UPSERT = (
    "INSERT INTO stock_levels (sku, location_id, on_hand) VALUES (:sku, :place, :value) "
    "ON CONFLICT (sku, location_id) DO UPDATE SET on_hand = excluded.on_hand"
)
STATEMENTS = {
    "write": UPSERT,
    "delete": "DELETE FROM stock_levels WHERE sku = :sku AND location_id = :place",
    "delete all": "DELETE FROM stock_levels WHERE location_id = :place",
    "rename": (
        "UPDATE stock_levels SET sku = sku || '+' WHERE sku = :sku AND location_id = :place AND NOT EXISTS "
        "(SELECT 1 FROM stock_levels AS o WHERE o.sku = :sku || '+' AND o.location_id = :place)"
    ),
}
ACTIONS = st.tuples(
    st.sampled_from([*STATEMENTS, "write", "savepoint", "release", "undo", "commit", "commit", "rollback", "read"]),
    st.integers(0, 1),
    st.sampled_from(["a", "b", 'quote"', "é\\"]),
    st.integers(0, 9),
)


@dataclass
class Writer:
    """One session, which keeps its transaction and savepoints open until it is told otherwise."""

    conn: sa.Connection
    place: str
    savepoints: list[sa.NestedTransaction] = field(default_factory=list)

    def do(self, action: str, sku: str, value: int) -> None:
        if action in STATEMENTS:
            values = {"sku": sku, "place": self.place, "value": value}
            self.conn.execute(sa.text(STATEMENTS[action]), values)
        elif action == "savepoint":
            self.savepoints.append(self.conn.begin_nested())
        elif action in {"release", "undo"} and self.savepoints:
            savepoint = self.savepoints.pop()
            savepoint.commit() if action == "release" else savepoint.rollback()
        elif action in {"commit", "rollback"}:
            self.savepoints.clear()
            self.conn.commit() if action == "commit" else self.conn.rollback()


@pytest.fixture
def watched(store: OperationalStore) -> OperationalStore:
    store.create_source_tables({"stock_levels": ["sku", "location_id", "on_hand"]})
    install_feed(store)
    return store


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=5, max_size=40))
def test_a_mirror_that_follows_the_feed_equals_the_source(watched: OperationalStore, actions: list[tuple[str, int, str, int]]) -> None:
    mirror: dict[str, Any] = {}
    position = follow(watched, None, mirror)

    with writers(watched) as sessions:
        for action, session, sku, value in actions:
            if action == "read":
                position = follow(watched, position, mirror)
            else:
                sessions[session % len(sessions)].do(action, sku, value)
        for session in sessions:
            session.do("commit", "", 0)
            position = follow(watched, position, mirror)

    whole: dict[str, Any] = {}
    follow(watched, None, whole)
    assert mirror == whole
    assert len(whole) == watched.read_source("stock_levels").height


@contextmanager
def writers(store: OperationalStore) -> Iterator[list[Writer]]:
    """Sessions whose transactions overlap; SQLite has one writer at a time. Their rows differ, so that none waits for another."""
    with ExitStack() as stack:
        count = 1 if store.dialect == "sqlite" else 2
        connections = [stack.enter_context(store.engine.connect()).execution_options(ordercast_writes=True) for _ in range(count)]
        yield [Writer(conn, str(number)) for number, conn in enumerate(connections)]


def follow(store: OperationalStore, since: FeedPosition | None, mirror: dict[str, Any]) -> FeedPosition:
    with read_changes(store, since=since) as reader:
        assert reader.is_full_resync == (since is None)
        for key in reader.changed_keys("stock_levels")["key"].to_pylist():
            mirror.pop(key, None)
        mirror.update((row["_key"], row["on_hand"]) for row in reader.rows("stock_levels").read_all().to_pylist())
    return reader.position
