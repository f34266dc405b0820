"""What moved and what drove it: a line per metric whose parts add up, with how unusual it is and the way to look closer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import (
    escape_markdown,
    format_amount,
    format_change_of,
    format_count,
    format_date,
    format_number,
    spoken,
)
from dashboards.queries.names import member_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.movers import Mover

SHOWN: Final = 3
UNUSUAL, VERY_UNUSUAL = 2.0, 3.5  # of Iglewicz and Hoaglin's modified z-scores; they call the second an outlier
HOW: Final = (
    "Changes are ranked by how far they lie from the median of the metric's own past changes, in robust standard deviations (modified "
    "z-score, Iglewicz and Hoaglin 1993). Parts are exact: of a rate, what came of a member's own rate and of its weight. The "
    "dimension shown is the one whose few members made more of the movement than their size. A contribution is arithmetic, not a cause."
)
_DEFINITIONS: Final = {
    "member": "Part of the dimension; blank in the row of the whole.",
    "before": "The value in the period compared with.",
    "change": "Value less before; of a part, what it made of the change of the whole.",
    "rate_part": "What came of the part's own rate.",
    "mix_part": "What came of its weight among the parts.",
    "unusual": "How far the change lies from the median of past changes, in robust standard deviations.",
    "past_count": "Earlier changes that this rests on.",
    "note": "Why nothing can be compared, or what to know.",
}
_UNITS: Final = {"percent": "pp", "days": "days", "hours": "hours", "minutes": "minutes"}


def movers_panel(
    served: Served, movers: Sequence[Mover], filters: Filters, *, today: date, look_closer: Callable[[Mover, str, str | None], None]
) -> None:
    """The first three movers in boxes, what could not be compared below, and how all of it adds up as a table.

    `look_closer` draws the way to a mover's metric by a dimension, or by none, under a label.
    """
    moved = [mover for mover in movers if mover.change][:SHOWN]
    if not moved:
        st.caption("Nothing can be compared over this period: choose a shorter one, or the other comparison.")
    elif all(mover.unusual is not None and abs(mover.unusual) < UNUSUAL for mover in moved):
        st.caption("Nothing moved more than it usually does." + (" These came nearest." if len(movers) > 1 else ""))
    for mover in moved:
        with st.container(border=True, gap="xsmall"):
            _mover(served, mover, today=today, look_closer=look_closer)
    silent = [mover for mover in movers if mover.change is None]
    for note in dict.fromkeys(mover.note or "" for mover in silent):
        labels = ", ".join(mover.metric.label for mover in silent if (mover.note or "") == note)
        st.caption(f":material/block: Not compared: {escape_markdown(labels)} ({escape_markdown(note)}).")
    if moved:
        with st.expander("How it adds up", icon=":material/table:"):
            _as_table(served, movers, filters)


def _mover(served: Served, mover: Mover, *, today: date, look_closer: Callable[[Mover, str, str | None], None]) -> None:
    icon, word, color = _direction(mover)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{escape_markdown(headline(mover))}**", width="content", help=escape_markdown(mover.metric.description))
        st.badge(word, icon=f":material/{icon}:", color=color)
    if mover.breakdown:
        st.markdown(escape_markdown(drivers(mover, member_names(served, mover.breakdown.dimension))))
    compared = f"{format_date(mover.period.first, today=today)} to {format_date(mover.period.last, today=today)}"
    st.caption(" · ".join(escape_markdown(part) for part in (compared, usual(mover), mover.note) if part))
    by = mover.breakdown.dimension if mover.breakdown else None
    look_closer(mover, f"{mover.metric.label} by {spoken(by)}" if by else mover.metric.label, by)


def headline(mover: Mover) -> str:
    """`On time in full -3.1 pp`; of money and counts the amount and its share: `Net sales EUR +10,157 (+4.3 %)`."""
    unit = mover.metric.unit
    share = format_change_of(mover.change, mover.before, unit)
    if unit not in {"money", "count"}:
        return f"{mover.metric.label} {share}"
    amount = f"{mover.currency_code or ''} {_signed(mover.change or 0.0, _digits(mover))}".strip()
    return f"{mover.metric.label} {amount}{f' ({share})' if share else ''}"


def drivers(mover: Mover, names: dict[str, str]) -> str:
    """`North -2.4, South -0.9, 3 others +0.2 pp`; the parts add up to the change as it is shown."""
    found = mover.breakdown
    if found is None:
        return ""
    digits = _digits(mover)
    _, parts, rest = found.rounded(digits=digits, scale=100 if mover.metric.unit == "percent" else 1)
    said = [f"{names.get(part.name, part.name)} {_signed(amount, digits)}" for part, amount in zip(found.named, parts, strict=True)]
    if found.rest_count:
        said.append(f"{format_count(found.rest_count, 'other')} {_signed(rest, digits)}")
    unit = _UNITS.get(mover.metric.unit, mover.currency_code or "")
    told = f"By {spoken(found.dimension)}: {', '.join(said)} {unit}".rstrip()
    return told if mover.stands_out else f"Spread over all, no dimension stands out. {told}"


def usual(mover: Mover) -> str:
    """How the change compares with the metric's own past ones; empty where they are too few, which the note says."""
    if mover.unusual is None:
        return ""
    score = abs(mover.unusual)
    word = "very unusual" if score >= VERY_UNUSUAL else "unusual" if score >= UNUSUAL else "within what is usual"
    times = "it has never changed before" if math.isinf(score) else f"{format_number(score)} standard deviations from its usual change"
    return f"{word}: {times}, by {format_count(mover.past_count, 'earlier period')}"


def _direction(mover: Mover) -> tuple[str, str, Any]:
    icon = "trending_up" if (mover.change or 0) > 0 else "trending_down"
    return (icon, "Better", "green") if mover.is_better else (icon, "Worse", "red")


def _digits(mover: Mover) -> int:
    """How many decimals its parts have: money below a hundred is told to the cent."""
    if mover.metric.unit == "money":
        return 2 if abs(mover.change or 0.0) < 100 else 0
    return 0 if mover.metric.unit == "count" else 1


def _signed(amount: float, digits: int) -> str:
    return f"{amount:+,.{digits}f}" if round(amount, digits) else f"{0:.{digits}f}"


def _as_table(served: Served, movers: Sequence[Mover], filters: Filters) -> None:
    rows = mover_rows(movers)
    st.caption(HOW)
    export_button(rows, name="what-moved", as_of=served.context.as_of_date, filters=filters.as_export(), definitions=_DEFINITIONS)
    shown = [
        {
            "Metric": mover.metric.label, "Before": format_amount(mover.before, mover.metric.unit, mover.currency_code or ""),
            "Value": format_amount(mover.value, mover.metric.unit, mover.currency_code or ""),
            "Change": format_change_of(mover.change, mover.before, mover.metric.unit) or "-",
            "Standard deviations": None if mover.unusual is None or math.isinf(mover.unusual) else mover.unusual,
            "Earlier periods": mover.past_count,
        }
        for mover in movers
    ]  # fmt: skip
    st.dataframe(
        pl.DataFrame(shown), hide_index=True, placeholder="-", alt="All headline metrics with their change, the most unusual first",
        column_config={"Standard deviations": st.column_config.NumberColumn(format="%+.1f")},
    )  # fmt: skip


def mover_rows(movers: Sequence[Mover]) -> pl.DataFrame:
    """Raw values: a row per metric, and one per named member and for the rest of those that were taken apart."""
    rows: list[dict[str, Any]] = []
    for mover in movers:
        common = {"metric": mover.metric.name, "unit": mover.metric.unit, "period_from": mover.period.first, "period_to": mover.period.last}
        common |= {"compared_from": mover.compared.first, "compared_to": mover.compared.last, "currency_code": mover.currency_code}
        found = mover.breakdown
        rows.append(
            common | {"dimension": None, "member": None, "before": mover.before, "value": mover.value, "change": mover.change,
                      "rate_part": None, "mix_part": None, "unusual": mover.unusual, "past_count": mover.past_count, "note": mover.note}
        )  # fmt: skip
        for part in found.named if found else ():
            own = {"before": part.before, "value": part.value, "change": part.total, "rate_part": part.rate, "mix_part": part.mix}
            numbers = {name: None if amount is None else float(amount) for name, amount in own.items()}
            rows.append(common | {"dimension": found.dimension if found else None, "member": part.name} | numbers)
        if found and found.rest_count:
            rows.append(common | {"dimension": found.dimension, "member": f"{found.rest_count} others", "change": float(found.rest)})
    return pl.DataFrame(rows, infer_schema_length=None)
