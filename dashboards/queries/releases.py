"""Which release pages show, and what its run says about itself.

Nothing in this package draws, and nothing outside it reads. What comes from a release is cached under the release's id, so a new
release is a new cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.settings import load_settings
from pipelines.stores.releases import Release, current_release
from pipelines.stores.releases import served_id as id_served_from
from pipelines.stores.source_watch import freshness_note
from pipelines.stores.warehouse import RunContext, run_context

if TYPE_CHECKING:
    from collections.abc import Sequence

PLANNING_TABLES: Final = ("stock_levels", "supplier_items")


@dataclass(frozen=True, slots=True)
class Served:
    """The release that pages show, and what its run reports about."""

    release: Release
    context: RunContext
    may_miss: str | None = None  # which source tables' rows may be missing, in a sentence


def now() -> datetime:
    """The wall clock, for ages only; everything else counts from the as-of date."""
    return datetime.now(UTC)


def served() -> Served | None:
    """What the pointer names at this moment; None before the first publication.

    Raises:
        ReleaseError: The pointer names a release that is not there, or its file cannot be read.
        SettingsError: A setting is unknown or impossible.
    """
    release = current_release(load_settings().releases_path)
    return None if release is None else Served(release, *_context(release))


def served_id() -> str | None:
    """The id that the pointer names at this moment; None before the first publication.

    Raises:
        ReleaseError: The pointer cannot be read.
    """
    return id_served_from(load_settings().releases_path)


def missing_tables(served: Served, tables: Sequence[str]) -> list[str]:
    """Those of the source tables of which the merchant provides no field at all."""
    return _missing_tables(served.release, tuple(tables))


def has_orders(served: Served) -> bool:
    """Whether any order has arrived yet."""
    return _has_orders(served.release)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _context(release: Release) -> tuple[RunContext, str | None]:
    with reading(release) as conn:
        return run_context(conn), freshness_note(conn)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _missing_tables(release: Release, tables: tuple[str, ...]) -> list[str]:
    with reading(release) as conn:
        rows = conn.execute("select distinct table_name from meta.source_fields where is_present").fetchall()
    present = {table for (table,) in rows}
    return [table for table in tables if table not in present]


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _has_orders(release: Release) -> bool:
    with reading(release) as conn:
        return conn.execute("select 1 from marts.fct_orders limit 1").fetchone() is not None
