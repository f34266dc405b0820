"""Tables leave the pages as CSV that a spreadsheet cannot be tricked into running."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from pipelines.decisions.access import NO_FILTERS, Access, is_about_persons, record_access
from pipelines.settings import load_settings
from pipelines.stores.spreadsheets import guarded_frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date


def to_csv(frame: pl.DataFrame) -> bytes:
    """The frame as UTF-8 CSV with a byte order mark, so that spreadsheets read the letters right.

    A text cell or a heading that would be taken for a formula gets a `'` in front; numbers and dates stand as they are.
    """
    return guarded_frame(frame).write_csv(include_bom=True).encode()


def export_button(frame: pl.DataFrame, *, name: str, as_of: date, filters: Mapping[str, Any] = NO_FILTERS) -> None:
    """A button that hands out the frame as a CSV file named after what it holds and its as-of date.

    Every download is in the access log, with the filters by which its rows were chosen. Rows about single customers or orders are not
    handed out where that fails.
    """

    def recorded_csv() -> bytes:
        settings = load_settings()
        actor = settings.operator or getpass.getuser()
        record_access(settings, Access(actor, "export", name, frame.height, None, filters, is_about_persons(frame.columns)))
        return to_csv(frame)

    st.download_button(
        "Export CSV",
        data=recorded_csv,  # built when it is asked for, not at every render
        file_name=f"{name}-{as_of.isoformat()}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"export-{name}",
    )
