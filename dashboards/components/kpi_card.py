"""One KPI on a card, and all of them as a table: value, change, target and status, each in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

import polars as pl
import streamlit as st

from dashboards.components.formats import (
    UNKNOWN,
    escape_markdown,
    format_amount,
    format_change_of,
    format_date,
    format_sample,
    format_units,
)

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from dashboards.queries.metrics import Kpi
    from pipelines.stores.metrics import MetricValue

# Status as icon, word and colour: the colour never stands alone.
_Color = Literal["green", "orange", "red", "gray"]
STATUSES: Final[dict[str, tuple[str, str, _Color]]] = {
    "on_target": ("check_circle", "On target", "green"),
    "watch": ("error", "Watch", "orange"),
    "off_target": ("cancel", "Off target", "red"),
    "no_target": ("remove", "No target", "gray"),
    "no_data": ("hourglass_empty", "Nothing counted", "gray"),
    "not_available": ("block", "Not available", "gray"),
    "blocked": ("currency_exchange", "Blocked", "red"),
}


def kpi_card(kpi: Kpi, *, today: date) -> None:
    """A card's content: label, value, change against the prior period, sparkline, status with target, period and cases."""
    value = kpi.value
    st.metric(
        kpi.metric.label,
        format_value(value, value.value),
        delta=change_words(kpi),
        delta_color=_delta_color(kpi),
        delta_arrow="auto" if _has_moved(kpi) else "off",
        delta_description=None if kpi.change is None else _compared_with(kpi),
        help=_help(kpi),
        chart_data=kpi.course if len(set(kpi.course)) > 1 else None,  # one value is no course
    )
    icon, word, color = STATUSES[value.status]
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.badge(word, icon=f":material/{icon}:", color=color)
            if words := _why_not(value) or format_target(value):
                st.caption(words)
        if kpi.companion:  # no caption: that would fade the badge
            st.markdown(f":small[:gray[{_companion(kpi)}]] {status_badge(kpi.companion.value.status)}")
        st.caption(" · ".join(part for part in (_period(kpi, today=today), format_sample(value.n)) if part))
        if words := last_year_words(kpi):
            st.caption(words)


def status_badge(status: str) -> str:
    """Icon, word and colour as markdown, to stand in a line of text; empty where there is no target to be held against."""
    icon, word, color = STATUSES[status]
    return "" if status == "no_target" else f":{color}-badge[:material/{icon}: {word}]"


def format_value(value: MetricValue, amount: float | Decimal | None) -> str:
    """An amount of this metric in its unit; money names its currency."""
    return format_amount(amount, value.unit, value.currency_code or "")


def change_words(kpi: Kpi) -> str | None:
    """The change against the prior period: `-3.1 pp` for rates, `-0.2 days`, `+4.2 %` for sums; None where either is unknown."""
    return format_change_of(kpi.change, None if kpi.value.prior is None else float(kpi.value.prior), kpi.value.unit)


def last_year_words(kpi: Kpi) -> str:
    """`same weeks last year 2.5 days (-0.3 days)`; empty where the data do not reach back so far."""
    value = kpi.value
    if value.last_year is None or value.change_last_year is None:
        return ""
    changed = format_change_of(float(value.change_last_year), float(value.last_year), value.unit)
    return f"same weeks last year {format_value(value, value.last_year)}{f' ({changed})' if changed else ''}"


def format_target(value: MetricValue) -> str:
    """`target at least 95.0 %`; empty where none is set."""
    if value.target is None:
        return ""
    return f"target at {'least' if value.better == 'higher' else 'most'} {format_value(value, value.target)}"


def kpi_table(kpis: list[Kpi], *, today: date) -> pl.DataFrame:
    """The cards as a table to read: one row per KPI, companions among them, everything in words."""
    rows = _everybody(kpis)
    return pl.DataFrame(
        {
            "KPI": [one.metric.label for one in rows],
            "Value": [format_value(one.value, one.value.value) for one in rows],
            "Prior period": [format_value(one.value, None if one.change is None else one.value.prior) for one in rows],
            "Change": [change_words(one) or UNKNOWN for one in rows],
            "Last year": [format_value(one.value, one.value.last_year) for one in rows],
            "Target": [format_target(one.value).removeprefix("target ") or UNKNOWN for one in rows],
            "Status": [_status_words(one) for one in rows],
            "Period": [_period(one, today=today) for one in rows],
            "n": [format_units(one.value.n) for one in rows],
            "Left out": [_excluded(one.value) or UNKNOWN for one in rows],
        }
    )


def kpi_export(kpis: list[Kpi]) -> pl.DataFrame:
    """The cards with raw values, one row per KPI, companions among them, each with its definition."""
    rows = [
        one.value.as_dict()
        | {
            "excluded": json.dumps(one.value.excluded),
            "needs_missing": ", ".join(one.value.needs_missing),
            "definition": one.metric.description,
        }
        for one in _everybody(kpis)
    ]
    return pl.DataFrame(rows, infer_schema_length=None, strict=False).drop("dimension", "member")


def _everybody(kpis: list[Kpi]) -> list[Kpi]:
    return [one for kpi in kpis for one in (kpi, kpi.companion) if one is not None]


def _has_moved(kpi: Kpi) -> bool:
    return (change_words(kpi) or "0.0")[0] in "+-"


def _delta_color(kpi: Kpi) -> Literal["normal", "inverse", "off"]:
    if not _has_moved(kpi):
        return "off"
    return "inverse" if kpi.value.better == "lower" else "normal"


def _help(kpi: Kpi) -> str:
    """Definition, then what the figure rests on and who was left out."""
    value = kpi.value
    lines = [escape_markdown(kpi.metric.description)]
    if value.denominator is not None:
        lines.append(f"**{_part(value, value.numerator)}** of **{format_units(float(value.denominator))}**, n = {format_units(value.n)}.")
    elif value.n is not None:
        lines.append(f"n = {format_units(value.n)}.")
    if excluded := _excluded(value):
        lines.append(f"Left out: {escape_markdown(excluded)}.")
    if value.last_year is not None:
        lines.append(f"Same weekdays a year before: {format_value(value, value.last_year)}.")
    if value.assumption:
        lines.append(f"Assumes: {escape_markdown(value.assumption)}.")
    if value.note and not value.needs_missing:
        lines.append(f"{escape_markdown(value.note)}.")
    if kpi.companion:
        told = [_companion(kpi), format_target(kpi.companion.value)]
        lines.append(f"{escape_markdown(kpi.companion.metric.label)}: {', '.join(filter(None, told))}.")
    return "\n\n".join(lines)


def _part(value: MetricValue, amount: float | Decimal | None) -> str:
    return format_value(value, amount) if value.unit == "money" else format_units(float(amount or 0))


def _companion(kpi: Kpi) -> str:
    return f"p90 {format_value(kpi.companion.value, kpi.companion.value.value)}" if kpi.companion else ""


def _compared_with(kpi: Kpi) -> str:
    days = _days(kpi.value)
    return f"vs {days} days before" if kpi.metric.counts_only_day == "max" else f"vs prior {days} days"


def _why_not(value: MetricValue) -> str:
    """What the source lacks, or why the metric cannot be narrowed like this; empty where there is a value."""
    if value.needs_missing:
        return _needs(value)
    return escape_markdown(value.note or "").removeprefix("not available: ") if value.status == "not_available" else ""


def _needs(value: MetricValue) -> str:
    return f"needs {escape_markdown(', '.join(value.needs_missing))}"


def _status_words(kpi: Kpi) -> str:
    word = STATUSES[kpi.value.status][1]
    return f"{word}: needs {', '.join(kpi.value.needs_missing)}" if kpi.value.needs_missing else word


def _excluded(value: MetricValue) -> str:
    return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in value.excluded.items())


def _period(kpi: Kpi, *, today: date) -> str:
    last = format_date(kpi.value.period_to, today=today)
    period = f"on {last}" if kpi.metric.counts_only_day == "max" else f"{_days(kpi.value)} days to {last}"
    return f"{period}, data only from {format_date(kpi.data_from, today=today)}" if kpi.data_from else period


def _days(value: MetricValue) -> int:
    return (value.period_to - value.period_from).days + 1
