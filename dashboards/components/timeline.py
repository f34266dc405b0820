"""What happened, one below the other in the order it happened, with the time between; promises stand where they fell due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.formats import format_count, format_date, format_price, spoken
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, timedelta

SCROLLS_ABOVE: Final = 60  # a longer story gets a window of its own
_WINDOW_PIXELS: Final = 720
# What an event is called and its dot's colour: the words say everything, the colour only helps to find.
_LOOKS: Final[dict[str, tuple[str, str]]] = {
    "ordered": ("Ordered", theme.ACCENT),
    "payment_hold_placed": ("Payment hold placed", theme.WARNING),
    "released": ("Released to the warehouse", theme.REFERENCE),
    "cancelled": ("Cancelled", theme.WARNING),
    "shipped": ("Shipped", theme.ACCENT),
    "delivered": ("Delivered", theme.INBOUND),
    "return_announced": ("Return announced", theme.WARNING),
    "return_received": ("Return received", theme.WARNING),
    "refunded": ("Refunded", theme.WARNING),
}
_TABLE: Final = ("event_at_local", "event_type", "order_id", "channel_id", "qty", "amount", "currency_code", "review_score", "reference_id")
_TABLE_LABELS: Final = {
    "event_at_local": "When", "event_type": "What happened", "qty": "Units", "amount": "Amount", "currency_code": "Currency",
    "review_score": "Score", "reference_id": "Reference",
}  # fmt: skip
_DEFINITIONS: Final = {
    "event_at": "When it happened, UTC.",
    "event_at_local": "When it happened, in the shop's time zone.",
    "qty": "Units that it was about; blank where it was about none.",
    "amount": "Money that it was about, in the currency beside it.",
    "review_score": "The score that the customer gave.",
    "reference_id": "The document behind it, such as a shipment or a refund.",
}
_MUTED: Final = "opacity:.78;font-size:.9em"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that belongs into the story and is no event: a promise, or the end of what is known.

    `at` is in UTC without a zone, as events have it.
    """

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story.

    Attributes:
        at_local: In the merchant's zone.
        name: What happened.
        detail: How much, of what; empty for marks.
        gap: Time since the line above, in words; empty where there is none.
        color: Of its dot.
        is_mark: Whether it is a promise or the like, and no event.
    """

    at_local: datetime
    name: str
    detail: str
    gap: str
    color: str
    is_mark: bool


def timeline(
    events: pl.DataFrame,
    *,
    zone: str,
    name: str,
    as_of: date,
    filters: Mapping[str, Any],
    marks: Sequence[Mark] = (),
    shows_orders: bool = False,
    alt: str = "What happened, oldest first",
) -> None:
    """Draws the events and marks in order, and the events once more as a table with its export.

    Args:
        events: As `pipelines.stores.timelines.Timeline.events`.
        zone: The merchant's; days and times are read in it.
        name: What the export is called.
        as_of: The last complete day.
        filters: Whose story it is, for the export.
        marks: Promises and the like.
        shows_orders: Whether each event names its order and channel: for a customer with several.
        alt: What the table shows, for those who do not see it.
    """
    if events.is_empty():
        st.caption("Nothing has happened yet.")
        return
    moments = story_moments(events, zone=zone, marks=marks, shows_orders=shows_orders)
    height: int | Literal["content"] = _WINDOW_PIXELS if len(moments) > SCROLLS_ABOVE else "content"
    with st.container(height=height, border=height != "content"):
        st.html(story_html(moments, today=as_of))
    st.caption(f"Times in {zone}; + is the time since the line above.{' Diamonds are promises.' if marks else ''}")
    columns = [column for column in _TABLE if column in events.columns and events[column].null_count() < events.height]
    with st.expander("The same as a table", icon=":material/table:"):
        data_table(events, name=name, as_of=as_of, alt=alt, columns=columns, labels=_TABLE_LABELS, filters=filters,
                   definitions=_DEFINITIONS)  # fmt: skip


def story_moments(events: pl.DataFrame, *, zone: str, marks: Sequence[Mark] = (), shows_orders: bool = False) -> list[Moment]:
    """Events and marks, oldest first; what happened at one moment keeps its order, and a promise due then comes after it."""
    told = [
        (row["event_at"], event_name(row["event_type"]), _detail(row, shows_orders=shows_orders), _color(row["event_type"]), False)
        for row in events.iter_rows(named=True)
    ]
    told += [(mark.at, mark.text, "", theme.REFERENCE, True) for mark in marks]
    moments: list[Moment] = []
    before: datetime | None = None
    for at, name, detail, color, is_mark in sorted(told, key=lambda one: one[0]):
        gap = f"+ {gap_words(at - before)}" if before is not None and at > before else ""
        moments.append(Moment(at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)), name, detail, gap, color, is_mark))
        before = at
    return moments


def story_html(moments: Sequence[Moment], *, today: date) -> str:
    """A line with a dot for each event and a diamond for each mark, a heading where the local day changes; text from data is escaped."""
    lines = []
    for place, moment in enumerate(moments):
        if place == 0 or moment.at_local.date() != moments[place - 1].at_local.date():
            day = format_date(moment.at_local.date(), today=today)
            lines.append(f'<li style="font-weight:600;padding:.6rem 0 .2rem">{day}</li>')
        lines.append(_line(moment))
    style = f"list-style:none;margin:.2rem 0 .2rem .4rem;padding:0 0 .4rem 1.2rem;border-left:2px solid {theme.REFERENCE}"
    return f'<ol style="{style}">{"".join(lines)}</ol>'


def event_name(event_type: str) -> str:
    """What an event is called."""
    return _LOOKS[event_type][0] if event_type in _LOOKS else spoken(event_type).capitalize()


def gap_words(gap: timedelta) -> str:
    """How long after: `12 min`, `6.0 h`, `3.2 days`."""
    minutes = gap.total_seconds() / 60
    if minutes < 60:
        return f"{max(1, round(minutes))} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:,.1f} days"


def _line(moment: Moment) -> str:
    turned = "transform:rotate(45deg);border-radius:1px" if moment.is_mark else "border-radius:50%"
    dot = f"position:absolute;left:calc(-1.2rem - 6px);top:.72rem;width:10px;height:10px;background:{moment.color};{turned}"
    name = f"<em>{escape(moment.name)}</em>" if moment.is_mark else f"<strong>{escape(moment.name)}</strong>"
    detail = f" {escape(moment.detail)}" if moment.detail else ""
    gap = f' <span style="{_MUTED};white-space:nowrap">{moment.gap}</span>' if moment.gap else ""
    time = f'<span style="font-variant-numeric:tabular-nums;flex:none;width:3.4rem">{moment.at_local:%H:%M}</span>'
    content = f'<span style="{dot}"></span>{time}<span>{name}{detail}{gap}</span>'
    return f'<li style="position:relative;display:flex;padding:.25rem 0">{content}</li>'


def _detail(row: Mapping[str, Any], *, shows_orders: bool) -> str:
    said = [
        None if row["qty"] is None else format_count(row["qty"], "unit"),
        None if row["amount"] is None else format_price(row["amount"], row["currency_code"]),
        None if row["review_score"] is None else f"score {row['review_score']}",
        row["order_id"] if shows_orders else None,
        row["channel_id"] if shows_orders else None,
        None if row["reference_id"] == row["order_id"] else row["reference_id"],
    ]
    return " · ".join(part for part in said if part)


def _color(event_type: str) -> str:
    return _LOOKS.get(event_type, ("", theme.REFERENCE))[1]
