"""Reports: marts that answer a question as a table, as the release declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.stores.reports import Report, count_rows, find_report, missing_fields, read_report, release_reports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.queries.releases import Served
    from pipelines.stores.releases import Release

MOST_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A report's rows, at most `MOST_ROWS` of `rows_count`, money in major units; what it lacks where it has none."""

    report: Report
    rows: pl.DataFrame
    rows_count: int
    missing: tuple[str, ...]

    @property
    def definitions(self) -> dict[str, str]:
        """What each column is."""
        return {column.name: column.description for column in self.report.columns if column.description}


def report(served: Served, name: str, *, where: Mapping[str, object] | None = None, limit: int = MOST_ROWS) -> ReportTable:
    """The report's rows in its order.

    Args:
        served: What is shown.
        name: The report's, as `ordercast report` lists it.
        where: A value per column that rows must have.
        limit: At most so many rows.

    Raises:
        ReportError: The release has no such report or column.
        ReleaseError: The release cannot be read.
    """
    return _report(served.release, name, tuple((where or {}).items()), limit)


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _report(release: Release, name: str, where: tuple[tuple[str, object], ...], limit: int) -> ReportTable:
    with reading(release) as conn:
        found = find_report(release_reports(conn), name)
        if missing := missing_fields(conn, found):
            return ReportTable(found, pl.DataFrame(), 0, missing)
        return ReportTable(found, read_report(conn, found, where=dict(where), limit=limit), count_rows(conn, found, where=dict(where)), ())
