"""Tables leave the pages as CSV that a spreadsheet cannot be tricked into running, or as Parquet; each says what it is."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import identity
from pipelines.decisions.access import Access, is_about_persons, record_access
from pipelines.settings import load_settings
from pipelines.stores.spreadsheets import guarded_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from dashboards.identity import Identity

_MIME: Final = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def to_csv(frame: pl.DataFrame) -> bytes:
    """The frame as UTF-8 CSV with a byte order mark, so that spreadsheets read the letters right.

    A text cell or a heading that would be taken for a formula gets a `'` in front; numbers and dates stand as they are.
    """
    return guarded_frame(frame).write_csv(include_bom=True).encode()


def to_parquet(frame: pl.DataFrame, *, about: Mapping[str, str]) -> bytes:
    """The frame as Parquet; `about` stands in the file's own metadata."""
    file = io.BytesIO()
    frame.write_parquet(file, metadata=dict(about))
    return file.getvalue()


def with_origin(frame: pl.DataFrame, *, as_of: date, filters: Mapping[str, Any]) -> pl.DataFrame:
    """The rows with what they speak of behind them, the same in each: `as_of_date`, and `filters` where any was set."""
    chosen = {name: value for name, value in filters.items() if value}
    said = "; ".join(f"{name}: {', '.join(value) if isinstance(value, (list, tuple)) else value}" for name, value in chosen.items())
    return frame.with_columns(pl.lit(as_of).alias("as_of_date"), pl.lit(said or "none").alias("filters"))


def export_button(
    frame: pl.DataFrame,
    *,
    name: str,
    as_of: date,
    filters: Mapping[str, Any],
    definitions: Mapping[str, str],
) -> None:
    """A button that hands out raw values as CSV or Parquet, and what the columns mean; `filters` is `{}` for all there is.

    Of `definitions` those of the frame's columns go with it. Files are named after what they hold and its as-of date, and each row
    says both. Every download is in the access log, with the filters by which its rows were chosen. Rows about single customers or
    orders are not handed out where that fails.
    """
    definitions = {column: definitions[column] for column in frame.columns if column in definitions}
    with st.popover("Export", icon=":material/download:", key=f"export-{name}-popover", width="content"):
        st.caption(f"{frame.height:,} rows, raw values, with as-of date and filters in each.")
        who = identity.current()  # now: a download is made outside of the page
        rows = with_origin(frame, as_of=as_of, filters=filters)
        about = {"name": name, "as_of_date": as_of.isoformat(), "filters": json.dumps(dict(filters), default=str)}
        about |= {f"definition.{column}": text for column, text in definitions.items()}
        _download("CSV", name, as_of, "csv", lambda: _recorded(who, frame, name, filters, to_csv(rows)))
        _download(
            "Parquet", name, as_of, "parquet",
            lambda: _recorded(who, frame, name, filters, to_parquet(rows, about=about)),
        )  # fmt: skip
        if definitions:
            said = pl.DataFrame({"column": list(definitions), "definition": list(definitions.values())})
            _download("What the columns mean", f"{name}-columns", as_of, "csv", lambda: to_csv(said))


def _download(label: str, name: str, as_of: date, suffix: str, data: Callable[[], bytes]) -> None:
    st.download_button(
        label, data=data,  # built when it is asked for, not at every render
        file_name=f"{name}-{as_of.isoformat()}.{suffix}", mime=_MIME[suffix], icon=":material/download:", on_click="ignore",
        key=f"export-{name}-{suffix}", width="stretch",
    )  # fmt: skip


def _recorded(who: Identity, frame: pl.DataFrame, name: str, filters: Mapping[str, Any], data: bytes) -> bytes:
    identity.confirm(who)
    record_access(load_settings(), Access(who.actor, "export", name, frame.height, None, filters, is_about_persons(frame.columns)))
    return data
