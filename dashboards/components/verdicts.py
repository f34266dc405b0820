"""Whether what is shown can be trusted, a small card on each part: good, to watch, bad, or not known; by icon, word and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import streamlit as st

from dashboards.components.formats import escape_markdown, format_count
from dashboards.queries.operations import IN_DOUBT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.queries.health import Trust
    from dashboards.queries.operations import Operations

Level = Literal["good", "watch", "bad", "unknown"]
_LEVELS: Final[dict[Level, tuple[str, str, Literal["green", "orange", "red", "gray"]]]] = {
    "good": ("check_circle", "Good", "green"), "watch": ("error", "Watch", "orange"), "bad": ("cancel", "Act", "red"),
    "unknown": ("help", "Unknown", "gray"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """One card: about what, how it is, the figure, and what the figure counts."""

    title: str
    level: Level
    said: str
    detail: str


def verdicts(found: Trust, store: Operations) -> list[Verdict]:
    """One word on each part: the worst where a person has to do something, "unknown" where nothing was looked at."""
    return [
        Verdict("Sources", *_sources(found), format_count(found.sources.height, "table")),
        Verdict("Quarantine", *_quarantine(found), "held back, each with its reason"),
        Verdict("Checks", *_checks(found), format_count(found.checks_count, "check")),
        Verdict("Reconciled", *_reconciled(found), "between orders, stock and finance"),
        Verdict("Forecasts", *_forecasts(found), f"{found.fallback_count:,} of {found.series_count:,} series on a fallback"),
        Verdict("Outbox", *_outbox(store), "messages to other systems"),
    ]


def verdict_cards(cards: Sequence[Verdict]) -> None:
    """The cards, side by side where there is room."""
    with st.grid(3, min_column_width=150, border=True) as grid:
        for verdict in cards:
            icon, word, color = _LEVELS[verdict.level]
            with grid.cell(), st.container(gap="xxsmall"):
                st.caption(verdict.title)
                st.badge(word, icon=f":material/{icon}:", color=color)
                st.markdown(f"**{escape_markdown(verdict.said)}**")
                st.caption(escape_markdown(verdict.detail))


def _sources(found: Trust) -> tuple[Level, str]:
    if found.sources.is_empty():
        return "unknown", "None read yet"
    late = len(found.late_tables)
    return ("watch", f"{late} read late") if late else ("good", "All read on time")


def _quarantine(found: Trust) -> tuple[Level, str]:
    if found.quarantined is None:
        return "unknown", "Not in this release"
    return "watch" if found.held_count else "good", format_count(found.held_count, "document")


def _checks(found: Trust) -> tuple[Level, str]:
    if not found.checks_count:
        return "unknown", "None made"
    return ("bad", f"{found.failed_checks_count} failed") if found.failed_checks_count else ("good", "All passed")


def _reconciled(found: Trust) -> tuple[Level, str]:
    said = format_count(found.differing_count, "difference") if found.compared_count else "Nothing compared"
    if found.differing_count or found.incidents_count:
        return "watch", said
    return "good" if found.compared_count else "unknown", said


def _forecasts(found: Trust) -> tuple[Level, str]:
    if found.broken.height:
        return "bad", "Withheld"
    if not found.series_count:
        return "unknown", "None made"
    return ("unknown", "Not checked") if found.forecast_checks.is_empty() else ("good", "In their limits")


def _outbox(store: Operations) -> tuple[Level, str]:
    if store.problem:
        return "unknown", "Not reached"
    if doubtful := store.messages(IN_DOUBT):
        return "bad", f"{doubtful:,} unknown"
    waiting = store.messages("waiting", "sending")
    return "watch" if waiting else "good", f"{waiting:,} waiting"
