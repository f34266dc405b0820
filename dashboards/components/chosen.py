"""What stands below a list of suggestions: the answer to the last click, what to do with several, or one suggestion's whole story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboards.components.answer_card import answer_card
from dashboards.components.bulk_panel import bulk_panel
from dashboards.components.deciding import last_answer
from dashboards.components.draft_list import show_drafts
from dashboards.components.suggestion_detail import suggestion_detail
from dashboards.queries import releases

if TYPE_CHECKING:
    import polars as pl

    from dashboards.decisions import Acting, Answer
    from dashboards.queries.releases import Served
    from dashboards.queries.suggestions import Suggestions


def show_chosen(
    served: Served,
    found: Suggestions,
    who: Acting,
    *,
    frame: pl.DataFrame,
    shown: pl.DataFrame,
    chosen: list[dict[str, Any]],
    state: str,
    opens_first: bool = True,
) -> None:
    """One of the three; where nothing is chosen, the first of the list stands open.

    After a decision no other suggestion opens by itself: a second click on the same spot must not meet the next one's button.

    Args:
        served: The release.
        found: What the store holds open.
        who: Who decides.
        frame: All suggestions.
        shown: Those that are listed.
        chosen: Those of them that are chosen.
        state: Of those that are listed.
        opens_first: Whether the first stands open where none is chosen.
    """
    today = releases.now().date()
    clock = found.standing.today if found.standing else today
    answer = last_answer()
    if answer is not None:
        answer_card(answer, as_of=served.context.as_of_date)
        _show_its_drafts(found, answer)
    if len(chosen) > 1:
        with st.container(border=True):
            bulk_panel(chosen, who, state=state, as_of=served.context.as_of_date, today=clock)
        return
    first = (shown.head(1) if opens_first else shown.clear()) if answer is None else answer.left_open(shown)
    opened = chosen or first.to_dicts()
    if opened:
        with st.container(border=True):
            suggestion_detail(served, opened[0], who, frame=frame, today=today, clock=clock)


def _show_its_drafts(found: Suggestions, answer: Answer) -> None:
    """The drafts that the last click wrote to, as they stand now."""
    if found.standing is None or found.drafts.is_empty():
        return
    written = {result.draft_id for result in answer.results if result.outcome == "approved"} - {None}
    for _, drafts in found.drafts.filter(found.drafts["draft_id"].is_in(list(written))).group_by("kind", maintain_order=True):
        show_drafts(drafts)
    if written:
        st.caption("All drafts stand above under *Drafts*.")
