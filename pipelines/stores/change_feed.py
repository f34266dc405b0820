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
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipelines.stores import feed_postgresql, feed_sqlite
from pipelines.stores.feed_reading import ChangeReader, FeedPosition
from pipelines.stores.grants import grant_rights
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipelines.stores.operational import OperationalStore

__all__ = ["KEEP", "ChangeReader", "FeedPosition", "install_feed", "prune_feed", "read_changes"]

log = logging.getLogger("ordercast.change_feed")
KEEP: Final = timedelta(days=14)
_NO_KEYS: Final[dict[str, Sequence[str]]] = {}
_DIALECTS: Final = {"sqlite": feed_sqlite, "postgresql": feed_postgresql}


def install_feed(store: OperationalStore) -> None:
    """Every change to a contract table of this store is noted from now on; install after a bulk load.

    Where a table was not watched before, the feed begins a new epoch: every reader reads everything once more.
    """
    types = store.stored_types()
    with store.transaction(is_bulk=True) as conn:
        if _DIALECTS[store.dialect].install(conn, types):
            _DIALECTS[store.dialect].set_epoch(conn, uuid.uuid4().hex)
            log.info("Change feed installed on %d tables; the next run reads them in full", len(types))
        grant_rights(conn, types)


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
        StoreUnavailableError: The store did not answer.
    """
    types = store.stored_types()
    hidden = {
        name: field.name for name in types if (field := SOURCE_TABLES[name].customer_field)
    }  # read in full where more is to be hidden
    fingerprint = hashlib.sha256(json.dumps([types, hidden], sort_keys=True).encode()).hexdigest()[:12]
    with _DIALECTS[store.dialect].open_reader(store.engine.url, types, since, retry_keys, fingerprint) as reader:
        if reader.untracked:
            log.warning("No change trigger on %s: every run reads all tables", ", ".join(sorted(reader.untracked)))
        yield reader
