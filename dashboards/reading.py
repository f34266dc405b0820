"""How pages open a release: a read that takes too long is stopped, and what was read is cached under the release's id."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl
import streamlit as st

from pipelines.errors import ReleaseError
from pipelines.stores.releases import Release, open_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@contextmanager
def reading(release: Release) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the release that stops a read after `QUERY_SECONDS`, and speaks in our errors."""
    with open_release(release) as conn:
        watchdog = threading.Timer(QUERY_SECONDS, conn.interrupt)
        watchdog.start()
        try:
            yield conn
        except duckdb.InterruptException:
            raise ReleaseError(
                f"Reading release {release.release_id} took over {QUERY_SECONDS:.0f} s and was stopped; try again."
            ) from None
        except (duckdb.CatalogException, duckdb.BinderException) as exc:
            first_line = str(exc).partition("\n")[0]
            raise ReleaseError(f"Release {release.release_id} lacks what this page shows ({first_line}); run `ordercast run`.") from None
        finally:
            watchdog.cancel()
