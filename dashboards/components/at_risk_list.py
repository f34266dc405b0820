"""Open orders by what is expected to be lost with them: as a table, as cards, and as an export with what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl
import streamlit as st

from dashboards.components.formats import escape_markdown, format_count, format_date, format_money, format_percent
from dashboards.components.pick_list import pick_cards, pick_table
from dashboards.queries.exceptions import NO_EXCEPTION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

_PROMISES: Final = {"ship": "Leave by", "delivery": "Arrive by"}
_COLUMNS: Final = ("order_id", "chance", "band", "expected_amount", "promise", "reason", "owner", "due", "state")
_Color = Literal["red", "orange", "gray"]
DEFINITIONS: Final[dict[str, str]] = {
    "order_id": "The order, as the shop calls it.",
    "promise_kind": "ship: to leave by a day; delivery: to arrive by one; broken: no promise is left to keep.",
    "chance_rate": "Probability, 0 to 1, that the order misses the next promise it can still keep; 1 where it is broken.",
    "band": "Unlikely below 20 %, possible below 50 %, more likely than not below 70 %, likely below 90 %, else almost certain.",
    "basis": "learned: by a model of past promises; rates: by plain shares of those that were missed; none: too few came due.",
    "fallback_reason": "Why it is not the learned one.",
    "due_date": "The last day on which the promise is kept.",
    "days_left": "Days from the as-of day to it.",
    "working_days_left": "Those of them on which the place works.",
    "stage": "The last step that is known to be done.",
    "reason": "What moves the probability most, in a sentence.",
    "reason_code": "The same as a word.",
    "owner": "Who can do something about it, or whom it was given to; not who is to blame.",
    "due_at": "By when somebody should have settled its exception, in the shop's time zone.",
    "is_overdue": "Whether that time has passed, and it is neither snoozed nor resolved.",
    "state": "Of its exception: Open, Acknowledged, Snoozed, Resolved; None where none was raised.",
    "exception_id": "Its exception, as `ordercast alerts show` takes it.",
    "is_new": "Whether the last look raised it.",
    "net_amount": "What the order is worth in currency_code; blank where an exchange rate is missing.",
    "expected_amount": "Probability times the order's worth, in currency_code; the list's order.",
    "currency_code": "Of both amounts.",
}


def promise_words(row: Mapping[str, Any], *, today: date) -> str:
    """What was promised and how long is left: `Leave by Mon 2 Nov, 2 days left`."""
    day = format_date(row["due_date"], today=today)
    if row["promise_kind"] == "broken":
        return f"Broken: was {day}, {format_count(-row['days_left'], 'day')} ago" if row["days_left"] else f"Broken today: was {day}"
    return f"{_PROMISES[row['promise_kind']]} {day}, {format_count(row['days_left'], 'day')} left"


def due_words(due_at: datetime | None, *, is_overdue: bool, today: date) -> str | None:
    """By when: `Tue 24 Nov 04:57`, said where it has passed."""
    if due_at is None:
        return None
    return f"{'Overdue: ' if is_overdue else ''}{format_date(due_at.date(), today=today)} {due_at:%H:%M}"


def state_words(state: str) -> str:
    """How its exception stands, in a word."""
    return "No exception" if state == NO_EXCEPTION else state


def chance_badge(row: Mapping[str, Any]) -> None:
    """The probability as number and word; the colour only repeats them."""
    if row["chance_rate"] is None:
        st.badge("Probability unknown", icon=":material/help:", color="gray")
        return
    color: _Color = "red" if row["chance_rate"] >= 0.7 else "orange" if row["chance_rate"] >= 0.5 else "gray"
    said = "Broken" if row["band"] == "broken" else f"{_percent(row['chance_rate'])}, {row['band']}"
    st.badge(said, icon=":material/running_with_errors:", color=color)


def order_table(rows: pl.DataFrame, *, today: date, clock: date) -> list[dict[str, Any]]:
    """The orders; returns the chosen ones.

    Args:
        rows: As `AtRisk.orders`.
        today: The as-of day, by which promises count.
        clock: The day by the wall clock, by which due times count.
    """
    return pick_table(
        _in_words(rows, today=today, clock=clock), key="order_id", name="orders-at-risk", columns=_COLUMNS,
        config=_config(str(rows["currency_code"][0])),
        alt="Open orders, by what is expected to be lost; choose one to open it, several to acknowledge them together",
    )  # fmt: skip


def order_cards(rows: pl.DataFrame, *, today: date, clock: date) -> list[dict[str, Any]]:
    """The orders as cards; returns the opened one."""

    def card(row: Mapping[str, Any]) -> None:
        with st.container(horizontal=True, gap="xsmall"):
            chance_badge(row)
            state_badge(row)
        st.markdown(f"**{escape_markdown(row['order_id'])}** · {escape_markdown(row['promise'])}")
        st.markdown(f"{escape_markdown(amount_words(row))} · {escape_markdown(row['owner'])}")
        st.caption(escape_markdown(row["reason"]) + (f" Due {escape_markdown(row['due'])}." if row["due"] else ""))

    shown = _in_words(rows, today=today, clock=clock)
    return pick_cards(shown, key="order_id", name="orders-at-risk", noun="order", card=card)


def state_badge(row: Mapping[str, Any]) -> None:
    """How its exception stands, and whether that is overdue."""
    if row["is_overdue"]:
        st.badge(f"{state_words(row['state'])}, overdue", icon=":material/alarm:", color="red")
    else:
        st.badge(state_words(row["state"]), icon=":material/flag:", color="gray")


def amount_words(row: Mapping[str, Any]) -> str:
    """What is expected to be lost of what it is worth."""
    if row["expected_amount"] is None or row["net_amount"] is None:
        return "Worth unknown"
    worth = format_money(row["net_amount"], row["currency_code"])
    if row["chance_rate"] == 1:
        return f"{worth} at stake"
    return f"{format_money(row['expected_amount'], row['currency_code'])} at stake of {worth}"


def _in_words(rows: pl.DataFrame, *, today: date, clock: date) -> pl.DataFrame:
    told = list(rows.iter_rows(named=True))
    return rows.with_columns(
        pl.Series("promise", [promise_words(row, today=today) for row in told], dtype=pl.String),
        pl.Series("due", [due_words(row["due_at"], is_overdue=row["is_overdue"], today=clock) for row in told], dtype=pl.String),
        (pl.col("chance_rate") * 100).alias("chance"),
    )  # fmt: skip


def _config(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "order_id": column.TextColumn("Order", width=84, pinned=True),
        "chance": column.NumberColumn("Misses (%)", format="%.0f", width=82, help=DEFINITIONS["chance_rate"]),
        "band": column.TextColumn("In words", width=96, help=DEFINITIONS["band"]),
        "promise": column.TextColumn("Promise", width=115),
        "reason": column.TextColumn("Why", width=225, help=DEFINITIONS["reason"]),
        "owner": column.TextColumn("Who", width=88, help=DEFINITIONS["owner"]),
        "due": column.TextColumn("Until", width=90, help=DEFINITIONS["due_at"]),
        "state": column.TextColumn("Exception", width=98, help=DEFINITIONS["state"]),
        "expected_amount": column.NumberColumn(f"At stake ({currency})", format="%,.0f", width=100, help=DEFINITIONS["expected_amount"]),
    }  # fmt: skip


def _percent(rate: float) -> str:
    return format_percent(rate).replace(".0 %", " %")
