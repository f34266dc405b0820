"""How far the warehouse has read the store, beside the warehouse: whoever waits for changes must neither open it nor hold it up.

The position that counts stands in the warehouse, in one transaction with the rows. This copy is written after that transaction and only
says whether another look is worth it: where it is missing, old or damaged, a refresh is asked for that finds nothing to do.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipelines.stores import feed_postgresql, feed_sqlite
from pipelines.stores.durable import write_durably
from pipelines.stores.feed_reading import FeedPosition

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore

log = logging.getLogger("ordercast.change_feed")
MARK: Final = "feed_position.json"
_DIALECTS: Final = {"sqlite": feed_sqlite, "postgresql": feed_postgresql}


@dataclass(frozen=True, slots=True)
class WaitingChanges:
    """What the feed holds past the mark.

    Attributes:
        count: Changes noted and not read yet; 0 where everything is to be read once more.
        newest: Names the newest of them: the same as long as nothing is added.
    """

    count: int
    newest: str


def write_mark(home: Path, position: FeedPosition) -> None:
    """The mark says that the warehouse holds everything up to here. On a full disk it stays as it was."""
    try:
        write_durably(home / MARK, json.dumps({"epoch": position.epoch, "position": position.position}))
    except OSError as exc:
        log.warning("The mark of what has been read could not be written (%s): the next look finds changes that are none", exc.strerror)


def read_mark(home: Path) -> FeedPosition | None:
    """What was written last; None where nothing was, or it cannot be read."""
    try:
        said = json.loads((home / MARK).read_text(encoding="utf-8"))
        return FeedPosition(str(said["epoch"]), str(said["position"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def waiting_changes(store: OperationalStore, since: FeedPosition | None) -> WaitingChanges | None:
    """What the feed holds past this position; None where nothing has changed. Nothing is read but the feed.

    Tables without triggers are not in the feed: what changes there waits for the next whole run.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    with store.transaction(writes=False) as conn:
        epoch, newest, count = _DIALECTS[store.dialect].waiting(conn, since)
    if since is None or since.epoch.partition(":")[0] != epoch:
        return WaitingChanges(0, f"{epoch}:all")
    return WaitingChanges(count, f"{epoch}:{newest}") if count else None
