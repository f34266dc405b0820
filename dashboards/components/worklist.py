"""The list of suggestions of one state, of which one is opened or several are chosen."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.deciding import choices_made, choose, chosen_keys
from dashboards.components.formats import asked_words, format_date, format_percent, format_units
from dashboards.queries.suggestions import SNOOZED, TO_DECIDE
from dashboards.queries.worklist import NOT_BETTER, NOT_TESTED, OVERDUE, SURE, TODAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

_HEAD_PIXELS: Final = 37
_ROW_PIXELS: Final = 74  # three lines, so that the whole of most reasons is read
_ROWS_SHOWN: Final = 7
_USUAL_STATUS: Final = ("Proposed",)
_OPEN: Final = ("due_words", "item", "what", "reason", "cost", "at_risk", "sure_words", "supplier", "status")
_DECIDED: Final = ("item", "what", "cost", "decided_by", "decided_at", "decided_why", "supplier", "status")
SURE_HELP: Final = (
    "Sure: the forecast erred less than seasonal naive on past cut-offs, accepting costs less than waiting, nothing else has to be decided "
    "first, and one person may approve it. Else the first reason why not. The percentage is how much less the forecast erred."
)
DUE_HELP: Final = (
    "Overdue: units are needed, in the median and with deliveries under way counted in, before what is ordered or moved today would "
    "arrive. Today: an order placed later misses the service level; moves, changes of orders and sharing are always for today. Else the "
    "last day on which an order keeps the service level."
)


def worklist(frame: pl.DataFrame, *, state: str, as_of: date, today: date) -> list[dict[str, Any]]:
    """The suggestions as they are sorted; returns the chosen ones, none until a person chooses.

    What is chosen is remembered by the suggestion and not by its place, so that a list that changes meanwhile opens no other.
    """
    if frame.is_empty():
        show_nothing_left()
        return []
    keys = frame["recommendation_key"].to_list()
    shown = _shown(frame, as_of=as_of, today=today)
    currency = "/".join(frame["currency_code"].drop_nulls().unique().sort())
    names = _OPEN if state == TO_DECIDE else (("wakes",) if state == SNOOZED else ()) + _DECIDED
    if state == TO_DECIDE and shown["status"].is_in(_USUAL_STATUS).all():
        names = tuple(name for name in names if name != "status")
    names = tuple(name for name in names if name not in {"cost", "supplier", "sure_words"} or shown[name].is_not_null().any())
    key = f"worklist-{choices_made()}-{hashlib.sha256(' '.join([state, *keys]).encode()).hexdigest()[:12]}"
    before = [place for place, row_key in enumerate(keys) if row_key in chosen_keys()]
    if key not in st.session_state:
        st.session_state[key] = {"selection": {"rows": before, "columns": [], "cells": []}}
    selected = st.dataframe(
        shown.select(names),
        column_config=_columns(currency),
        hide_index=True,
        height=_ROW_PIXELS * min(frame.height, _ROWS_SHOWN) + _HEAD_PIXELS,
        row_height=_ROW_PIXELS,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="-",
        key=key,
        alt="Suggestions, most at risk first; choose one to open it, several to decide about them together",
    )
    places: Sequence[int] = sorted(place for place in selected["selection"]["rows"] if place < frame.height)
    choose([keys[place] for place in places])
    return [frame.row(place, named=True) for place in places]


def show_nothing_left() -> None:
    """What to do where filters leave nothing."""
    st.info("No suggestion is left by these filters. Clear a filter to see more.", icon=":material/filter_alt_off:")


def what_words(row: Mapping[str, Any], *, today: date) -> str:
    """What it asks for; of an order also what is needed before the supplier's packs and minimum."""
    said = asked_words(row, today=today)
    is_rounded = row["kind"] == "purchase" and row["state"] == TO_DECIDE and row["raw_qty"] not in {None, row["qty"]}
    return f"{said} (need {format_units(row['raw_qty'])})" if is_rounded else said


def due_words(row: Mapping[str, Any], *, as_of: date, today: date) -> str | None:
    """How soon: overdue, today, or the day."""
    if row["due"] in {OVERDUE, TODAY}:
        return str(row["due"])
    if row["order_by"] is None:
        return None
    return "Today" if row["order_by"] <= as_of else format_date(row["order_by"], today=today)


def sure_words(row: Mapping[str, Any]) -> str | None:
    """Whether it is sure, or why not, with how much better than naive its forecast has been."""
    gain: float | None = row["forecast_gain_rate"]
    sure: str | None = row["sure"]
    if sure is None or sure in {NOT_TESTED, NOT_BETTER} or gain is None:
        return sure
    better = f"forecast {format_percent(gain).replace('.0 %', ' %')} better" if gain > 0 else "forecast no better than naive"
    return f"{sure}: {better}" if sure == SURE else f"{sure}; {better}"


def _shown(frame: pl.DataFrame, *, as_of: date, today: date) -> pl.DataFrame:
    rows = list(frame.iter_rows(named=True))
    return frame.with_columns(
        pl.Series("due_words", [due_words(row, as_of=as_of, today=today) for row in rows], dtype=pl.String),
        pl.Series("wakes", [format_date(day, today=today) for day in frame["snoozed_until"]], dtype=pl.String),
        pl.format("{} · {}", "sku", "location").alias("item"),
        pl.Series("what", [what_words(row, today=today) for row in rows], dtype=pl.String),
        pl.Series("sure_words", [sure_words(row) for row in rows], dtype=pl.String),
        pl.col("status").str.replace_all("_", " ").str.to_titlecase().alias("status"),
    )


def _columns(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "due_words": column.TextColumn("Do by", width=74, help=DUE_HELP),
        "wakes": column.TextColumn("Comes back", width=90),
        "item": column.TextColumn("Item", width=108),
        "reason": column.TextColumn("Why", width=240),
        "what": column.TextColumn(
            "What to do", width=118, help="What is ordered is in the supplier's packs, so it may be above the need, which stands behind it."
        ),
        "cost": column.NumberColumn(f"Cost ({currency})", format="%,.0f", width=78),
        "at_risk": column.NumberColumn(
            f"At risk ({currency})",
            format="%,.0f",
            width=85,
            help="Margin that waiting for the next review is expected to lose, on average; at unit cost where no margin is known.",
        ),
        "sure_words": column.TextColumn("Sure?", width=128, help=SURE_HELP),
        "decided_by": column.TextColumn("By", width=90),
        "decided_at": column.DatetimeColumn("When", format="ddd D MMM HH:mm", width=120),
        "decided_why": column.TextColumn("Why", width=240),
        "supplier": column.TextColumn("Supplier", width=88),
        "status": column.TextColumn("Status", width=80, help="From the operational store, at this moment."),
    }
