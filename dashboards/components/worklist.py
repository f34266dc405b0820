"""The list of suggestions of one state, of which one is opened or several are chosen."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.deciding import choose, chosen_keys
from dashboards.components.formats import asked_words, format_date
from dashboards.suggestions import SNOOZED, TO_DECIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_HEAD_PIXELS: Final = 37
_ROW_PIXELS: Final = 74  # three lines, so that the whole of most reasons is read
_ROWS_SHOWN: Final = 7
_USUAL_STATUS: Final = ("Proposed",)
_OPEN: Final = ("due", "item", "what", "reason", "cost", "at_risk", "at_risk_p90", "supplier", "status")
_DECIDED: Final = ("item", "what", "cost", "decided_by", "decided_at", "decided_why", "supplier", "status")


def worklist(frame: pl.DataFrame, *, state: str, as_of: date, today: date) -> list[dict[str, Any]]:
    """The suggestions as they are sorted; returns the chosen ones, none until a person chooses.

    What is chosen is remembered by the suggestion and not by its place, so that a list that changes meanwhile opens no other.
    """
    if frame.is_empty():
        st.info("No suggestion of this kind, supplier and location. Clear a filter to see more.", icon=":material/filter_alt_off:")
        return []
    keys = frame["recommendation_key"].to_list()
    shown = _shown(frame, as_of=as_of, today=today)
    currency = "/".join(frame["currency_code"].drop_nulls().unique().sort())
    names = _OPEN if state == TO_DECIDE else (("wakes",) if state == SNOOZED else ()) + _DECIDED
    if state == TO_DECIDE and shown["status"].is_in(_USUAL_STATUS).all():
        names = tuple(name for name in names if name != "status")
    key = f"worklist-{hashlib.sha256(' '.join([state, *keys]).encode()).hexdigest()[:12]}"
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
        alt="Suggestions, most urgent first; choose one to open it, several to decide about them together",
    )
    places: Sequence[int] = sorted(place for place in selected["selection"]["rows"] if place < frame.height)
    choose([keys[place] for place in places])
    return [frame.row(place, named=True) for place in places]


def _shown(frame: pl.DataFrame, *, as_of: date, today: date) -> pl.DataFrame:
    return frame.with_columns(
        pl.Series("due", [_due(day, as_of=as_of, today=today) for day in frame["order_by"]], dtype=pl.String),
        pl.Series("wakes", [format_date(day, today=today) for day in frame["snoozed_until"]], dtype=pl.String),
        pl.format("{} · {}", "sku", "location").alias("item"),
        pl.Series("what", [asked_words(row, today=today) for row in frame.iter_rows(named=True)], dtype=pl.String),
        # a loss that is rare and large has a p90 below its mean, and "up to" that would mislead
        pl.when(pl.col("cost_if_ignored_p90") > pl.col("at_risk")).then("cost_if_ignored_p90").alias("at_risk_p90"),
        pl.col("status").str.replace_all("_", " ").str.to_titlecase().alias("status"),
    )


def _due(day: date | None, *, as_of: date, today: date) -> str:
    return "Today" if day is not None and day <= as_of else format_date(day, today=today)


def _columns(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        # the first three fit a phone beside the box; the rest is in what opens below
        "due": column.TextColumn("Do by", width=80),
        "wakes": column.TextColumn("Comes back", width=90),
        "item": column.TextColumn("Item", width=115),
        "reason": column.TextColumn("Why", width=300),
        "what": column.TextColumn("What to do", width=125, help="What is ordered is in the supplier's packs, so it may be above the need."),
        "cost": column.NumberColumn(f"Cost ({currency})", format="%,.0f", width=78),
        "at_risk": column.NumberColumn(
            f"At risk ({currency})",
            format="%,.0f",
            width=90,
            help="Margin expected to be lost if nothing is ordered before the next review; at unit cost where no margin is known.",
        ),
        "at_risk_p90": column.NumberColumn(
            f"Up to ({currency})", format="%,.0f", width=80, help="In nine cases of ten no more is lost (p90); - where a loss is rarer."
        ),
        "decided_by": column.TextColumn("By", width=90),
        "decided_at": column.DatetimeColumn("When", format="ddd D MMM HH:mm", width=120),
        "decided_why": column.TextColumn("Why", width=240),
        "supplier": column.TextColumn("Supplier", width=85),
        "status": column.TextColumn("Status", width=80, help="From the operational store, at this moment."),
    }
