"""How pages open a release: a read that takes too long is stopped, and what was read is cached under the release's id."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import streamlit as st

from pipelines.errors import ReleaseError
from pipelines.stores.releases import Release, connect_release, readable, verified
from pipelines.stores.reports import with_money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dashboards.queries.releases import Served
    from pipelines.stores.releases import ReleaseState

_AT_ONCE: Final = threading.BoundedSemaphore(3)  # more reads at a time end no sooner on two cores, and each takes memory
QUERY_SECONDS: Final = 10.0  # a longer read is stopped: a page does not hold the machine
CACHE_ENTRIES: Final = 256
CACHE_SECONDS: Final = 3600
BY_RELEASE: Final[dict[str | type, Callable[[Any], Any]]] = {Release: lambda release: (release.release_id, str(release.path))}


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def read_frame(release: Release, sql: str, bound: tuple[Any, ...] = ()) -> pl.DataFrame:
    """What the query finds in the release; cached, so its caller must not change it.

    Raises:
        ReleaseError: The release cannot be read, lacks what is asked for, or took too long.
    """
    with reading(release) as conn:
        return conn.execute(sql, list(bound)).pl()


def read_money(served: Served, sql: str, bound: tuple[Any, ...] = ()) -> pl.DataFrame:
    """What the query finds, as `read_frame`, with money in major units."""
    return with_money(read_frame(served.release, sql, bound), served.context.currency_code)


@contextmanager
def reading(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the release that stops a read after `QUERY_SECONDS`, and speaks in our errors."""
    with _a_turn(release), readable(release), _opened.cursor(release) as conn:
        watchdog = threading.Timer(QUERY_SECONDS, conn.interrupt)
        watchdog.start()
        try:
            yield conn
        except duckdb.InterruptException:
            raise ReleaseError(
                f"Reading release {release.release_id} took over {QUERY_SECONDS:.0f} s and was stopped; try again."
            ) from None
        except duckdb.OutOfMemoryException:
            raise ReleaseError(
                f"Reading this from release {release.release_id} takes more memory than a page may use; narrow the page to less."
            ) from None
        except (duckdb.CatalogException, duckdb.BinderException) as exc:
            first_line = str(exc).partition("\n")[0]
            raise ReleaseError(f"Release {release.release_id} lacks what this page shows ({first_line}); run `ordercast run`.") from None
        finally:
            watchdog.cancel()


@contextmanager
def _a_turn(release: Release) -> Iterator[None]:
    """One of the few that read at a time; whoever waits too long for that is told so, as of a read that takes too long."""
    if not _AT_ONCE.acquire(timeout=QUERY_SECONDS):
        raise ReleaseError(f"Too many pages read release {release.release_id} at this moment; try again.")
    try:
        yield
    finally:
        _AT_ONCE.release()


@dataclass(slots=True)
class _Open:
    """A release's connection and how many read from it now; one that is not `newest` is closed by its last reader."""

    conn: duckdb.DuckDBPyConnection
    readers: int = 0
    is_newest: bool = True


class _OpenReleases:
    """Releases that this process reads, each opened once: opening one costs more than most reads of it.

    The one opened last stays open; others only as long as somebody reads them, so that what a publication removes is given up.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[Path, ReleaseState], _Open] = {}
        self._changing = threading.Lock()

    @contextmanager
    def cursor(self, release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of the caller's own to what is open, or opened now; its bytes are compared with the manifest before."""
        key = (release.path, verified(release))
        with self._changing:
            if key not in self._open:
                self._open[key] = _Open(connect_release(release))
                for one in self._open.values():
                    one.is_newest = False
                self._open[key].is_newest = True
            self._open[key].readers += 1
            self._close_idle()
            cursor = self._open[key].conn.cursor()
        try:
            yield cursor
        finally:
            cursor.close()
            with self._changing:
                self._open[key].readers -= 1
                self._close_idle()

    def _close_idle(self) -> None:
        for key in [key for key, one in self._open.items() if not one.readers and not one.is_newest]:
            self._open.pop(key).conn.close()


_opened: Final = _OpenReleases()
