"""Exceptions of all kinds but orders, worst first: as a table, as cards, and as an export with what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.at_risk_list import due_words, state_badge
from dashboards.components.formats import escape_markdown, format_money
from dashboards.components.pick_list import pick_cards, pick_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

_COLUMNS: Final = ("title", "kind", "expected_amount", "detail", "severity", "owner", "due", "state")
DEFINITIONS: Final[dict[str, str]] = {
    "exception_id": "Its id, as `ordercast alerts show` takes it.",
    "title": "What it is about.",
    "kind": "What kind of rule raised it.",
    "detail": "What holds, with its figures.",
    "severity": "How bad it is, as its rule says: critical, high, medium or low.",
    "owner": "Who should look: an operator or a team.",
    "due_at": "By when somebody should have settled it, in the shop's time zone.",
    "is_overdue": "Whether that time has passed, and it is neither snoozed nor resolved.",
    "state": "Open, Acknowledged (somebody is at it), Snoozed until a time, or Resolved.",
    "expected_amount": "Chance times the amount at stake, in currency_code; blank where no amount can be named.",
    "basis": "How chance and amount were come by.",
    "opened_at": "When it was raised, in the shop's time zone.",
    "seen_count": "How often it was found since.",
    "resolution": "What became of it.",
}


def exception_table(rows: pl.DataFrame, *, clock: date) -> list[dict[str, Any]]:
    """The exceptions; returns the chosen ones."""
    column = st.column_config
    currency = "/".join(rows["currency_code"].drop_nulls().unique().sort())
    config = {
        "title": column.TextColumn("What", width=110, pinned=True), "kind": column.TextColumn("Kind", width=92),
        "detail": column.TextColumn("Why", width=300), "severity": column.TextColumn("Severity", width=75, help=DEFINITIONS["severity"]),
        "owner": column.TextColumn("Who", width=88), "due": column.TextColumn("Until", width=90, help=DEFINITIONS["due_at"]),
        "state": column.TextColumn("State", width=98, help=DEFINITIONS["state"]),
        "expected_amount": column.NumberColumn(
            f"At stake ({currency})" if currency else "At stake", format="%,.0f", width=100, help=DEFINITIONS["expected_amount"]
        ),
    }  # fmt: skip
    return pick_table(
        _in_words(rows, clock=clock), key="exception_id", name="other-exceptions", columns=_COLUMNS, config=config,
        alt="Exceptions, worst first; choose one to open it, several to acknowledge them together",
    )  # fmt: skip


def exception_cards(rows: pl.DataFrame, *, clock: date) -> list[dict[str, Any]]:
    """The exceptions as cards; returns the opened one."""

    def card(row: Mapping[str, Any]) -> None:
        with st.container(horizontal=True, gap="xsmall"):
            st.badge(f"{row['kind']}, {row['severity']}", color="gray")
            state_badge(row)
        amount = "" if row["expected_amount"] is None else f" · {format_money(row['expected_amount'], row['currency_code'])} at stake"
        st.markdown(f"**{escape_markdown(row['title'])}**{escape_markdown(amount)} · {escape_markdown(row['owner'] or '')}")
        st.caption(escape_markdown(row["detail"]) + (f" Due {escape_markdown(row['due'])}." if row["due"] else ""))

    return pick_cards(_in_words(rows, clock=clock), key="exception_id", name="other-exceptions", noun="exception", card=card)


def _in_words(rows: pl.DataFrame, *, clock: date) -> pl.DataFrame:
    due = [due_words(at, is_overdue=late, today=clock) for at, late in rows.select("due_at", "is_overdue").iter_rows()]
    return rows.with_columns(pl.Series("due", due, dtype=pl.String))
