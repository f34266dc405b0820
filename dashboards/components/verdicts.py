"""A row of small cards, each one word on one thing: good, to watch, or bad; by icon, word and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import streamlit as st

from dashboards.components.formats import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = Literal["good", "watch", "bad"]
_LEVELS: Final[dict[Level, tuple[str, str, Literal["green", "orange", "red"]]]] = {
    "good": ("check_circle", "Good", "green"), "watch": ("error", "Watch", "orange"), "bad": ("cancel", "Act", "red"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """One card: about what, how it is, the figure, and what the figure counts."""

    title: str
    level: Level
    said: str
    detail: str


def verdict_cards(verdicts: Sequence[Verdict]) -> None:
    """The cards, side by side where there is room."""
    with st.grid(3, min_column_width=150, border=True) as grid:
        for verdict in verdicts:
            icon, word, color = _LEVELS[verdict.level]
            with grid.cell(), st.container(gap="xxsmall"):
                st.caption(verdict.title)
                st.badge(word, icon=f":material/{icon}:", color=color)
                st.markdown(f"**{escape_markdown(verdict.said)}**")
                st.caption(escape_markdown(verdict.detail))
