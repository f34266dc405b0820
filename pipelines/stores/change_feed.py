"""The change feed: triggers note every changed key, a reader takes what became visible since its last position.

A cursor on `updated_at` loses rows, because transactions commit in another order than they began. Here a reader compares two
snapshots of the database (PostgreSQL) or two numbers of a single writer (SQLite), so no change is lost and none is skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipelines.errors import StoreUnavailableError
from pipelines.stores import feed_postgresql, feed_sqlite
from pipelines.stores.connections import translated_errors
from pipelines.stores.feed_reading import ChangeReader, FeedPosition
from pipelines.stores.grants import grant_rights
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipelines.stores.operational import OperationalStore

__all__ = [
    "KEEP", "ChangeReader", "FeedHealth", "FeedPosition", "begin_epoch", "feed_health", "forbid_triggers", "install_feed", "prune_feed",
    "read_changes", "repair_feed",
]  # fmt: skip

log = logging.getLogger("ordercast.change_feed")
KEEP: Final = timedelta(days=14)
_NO_KEYS: Final[dict[str, Sequence[str]]] = {}
_DIALECTS: Final = {"sqlite": feed_sqlite, "postgresql": feed_postgresql}


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """Tables of the contract by what is wrong with watching them; every other is watched.

    Attributes:
        lost: A trigger that should stand is missing, disabled or changed.
        unwatched: None can stand, as on a view, or none is wanted.
    """

    lost: list[str]
    unwatched: list[str]


def install_feed(store: OperationalStore) -> None:
    """Every change to a contract table of this store is noted from now on; install after a bulk load.

    Where a table was not watched before, the feed begins a new epoch: every reader reads everything once more.
    """
    types, feed = store.stored_types(), _DIALECTS[store.dialect]
    with store.transaction(is_bulk=True) as conn:
        lacking: list[str] = feed.lacking(conn, types)
        for table in lacking:
            feed.watch(conn, table, types[table])
        feed.set_watching(conn, is_wanted=True)
        if lacking:
            feed.set_epoch(conn, uuid.uuid4().hex)
            log.info("Change feed installed on %d tables; the next run reads them in full", len(types))
        grant_rights(conn, types)


def begin_epoch(store: OperationalStore) -> None:
    """Every reader reads everything once more, as after the store was restored: positions of before are worth nothing."""
    with store.transaction() as conn:
        _DIALECTS[store.dialect].set_epoch(conn, uuid.uuid4().hex)


def repair_feed(store: OperationalStore) -> frozenset[str]:
    """Triggers that were dropped, disabled or changed since `install_feed` stand again; returns the tables that lacked one.

    What happened meanwhile is not in the feed: the caller compares these tables. Where triggers are forbidden nothing is done, and
    where the store refuses, as without the owner's rights, the tables stay untracked.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    types, feed = store.stored_types(), _DIALECTS[store.dialect]
    with store.transaction(writes=False) as conn:
        lacking: list[str] = feed.lacking(conn, types) if feed.is_watching(conn) else []
    if not lacking:
        return frozenset()
    names = ", ".join(sorted(lacking))
    try:
        with store.transaction(is_bulk=True) as conn:
            for table in lacking:
                feed.watch(conn, table, types[table])
    except StoreUnavailableError as exc:
        log.warning("The change triggers of %s are missing or disabled and could not be made again: %s", names, exc)
        return frozenset()
    log.warning("The change triggers of %s were missing or disabled; they stand again, and the tables are compared row by row", names)
    return frozenset(lacking)


def forbid_triggers(store: OperationalStore) -> None:
    """No trigger of ours stands on the merchant's tables, and none is made until `install_feed`."""
    types, feed = store.stored_types(), _DIALECTS[store.dialect]
    with store.transaction(is_bulk=True) as conn:
        for table in types:
            feed.unwatch(conn, table)
        feed.set_watching(conn, is_wanted=False)


def feed_health(store: OperationalStore) -> FeedHealth:
    """How the feed stands; nothing is changed.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    found, feed = store.stored_types(), _DIALECTS[store.dialect]
    types = {table: columns for table, columns in found.items() if columns.keys() >= set(SOURCE_TABLES[table].key)}
    with store.transaction(writes=False) as conn:
        lacking: list[str] = feed.lacking(conn, types)
        carriers: set[str] = feed.carriers(conn)
        lost = lacking if feed.is_watching(conn) else []
    return FeedHealth(sorted(lost), sorted(table for table in types if table not in carriers or (table in lacking and not lost)))


def prune_feed(store: OperationalStore, *, keep: timedelta = KEEP, now: datetime | None = None) -> int:
    """Changes noted more than `keep` ago are gone; a reader that has not read them will read everything instead.

    The feed holds no times: each call marks where the feed stands now, and later calls remove what lies before an old mark.

    Returns:
        The number of entries removed.
    """
    moment = now or datetime.now(UTC)
    with store.transaction(is_bulk=True) as conn:
        removed: int = _DIALECTS[store.dialect].prune(conn, now=moment, before=moment - keep)
    return removed


@contextmanager
def read_changes(
    store: OperationalStore, *, since: FeedPosition | None, retry_keys: Mapping[str, Sequence[str]] = _NO_KEYS
) -> Iterator[ChangeReader]:
    """A reader of everything that changed since a position, all in one snapshot that stands still for the whole block.

    Args:
        store: The operational store.
        since: The position that the last read gave, or None to read everything.
        retry_keys: Keys to read again besides, by table, as JSON arrays: documents in quarantine.

    Raises:
        StoreUnavailableError: The store did not answer, or stopped while it was read.
    """
    types = store.stored_types()
    hidden = {
        name: field.name for name in types if (field := SOURCE_TABLES[name].customer_field)
    }  # read in full where more is to be hidden
    fingerprint = hashlib.sha256(json.dumps([types, hidden], sort_keys=True).encode()).hexdigest()[:12]
    feed, url = _DIALECTS[store.dialect], store.engine.url
    with translated_errors(url), feed.open_reader(url, types, since, retry_keys, fingerprint) as reader:
        yield reader
