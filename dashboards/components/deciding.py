"""What a session remembers of deciding: the key of every form it shows, the rows that are chosen, and what became of the last click.

Two clicks 0.3 s apart run a callback twice, and a click may be repeated because nobody saw what came of it. So a form's key is made
when the form is drawn and kept for every click, as long as the form asks for the same: the service answers the second like the first.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards import decisions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dashboards.decisions import Answer
    from pipelines.decisions.lifecycle import DecisionAction
    from pipelines.decisions.requests import DecisionRequest

_CHOSEN: Final = "chosen"  # recommendation_keys
_CHOICES: Final = "choices_made"
_KEYS: Final = "decision_ids"
_ANSWER: Final = "answer"
_IS_PAGE_OLD: Final = "is_page_old"


def form_of(action: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Which form this is: the action about these recommendations in these versions; its key is made now if it is new."""
    form = f"{action} " + " ".join(f"{row['rec_id']}:{row['version']}" for row in rows)
    _ids().setdefault(form, (None, uuid.uuid4().hex))
    return form


def decision_id(form: str, content: object) -> str:
    """The form's key; another one once it has been sent with other content."""
    sent, key = _ids()[form]
    if sent is not None and sent != content:
        key = uuid.uuid4().hex
    _ids()[form] = (content, key)
    return key


def submit(
    form: str, rows: Sequence[Mapping[str, Any]], action: DecisionAction, actor: str, values: Callable[[], Mapping[str, Any] | None]
) -> None:
    """A click: the decision is made before the page is drawn anew. Clicked again, it is the same decision.

    Args:
        form: What `form_of` gave.
        rows: The rows as they were drawn.
        action: What to do with them.
        actor: Who.
        values: Reads what the form's fields hold at the click; None where what was typed last has not been answered on the page yet.
    """
    asked = values()
    if asked is None:
        return
    key = decision_id(form, (actor, action, asked))
    send(rows, decisions.requests_for(rows, action, decision_id=key, actor=actor, values=asked))


def send(rows: Sequence[Mapping[str, Any]], requests: Sequence[DecisionRequest]) -> None:
    """The decisions are made and their answer stands on the page; rows of which something came are chosen no more."""
    told = decisions.decide(rows, requests)
    st.session_state[_ANSWER] = told
    st.session_state[_CHOSEN] = [row["recommendation_key"] for row in rows] if told.is_undone else []
    st.session_state[_IS_PAGE_OLD] = True


def last_answer() -> Answer | None:
    """What became of the last click; None once the planner has gone on."""
    found: Answer | None = st.session_state.get(_ANSWER)
    return found


def chosen_keys() -> list[str]:
    """The rows that are chosen, by recommendation_key."""
    found: list[str] = st.session_state.get(_CHOSEN, [])
    return found


def choose(keys: list[str]) -> None:
    """These rows are chosen; whoever chooses others has read the last answer."""
    if keys and keys != chosen_keys():
        st.session_state.pop(_ANSWER, None)
    st.session_state[_CHOSEN] = keys


def open_only(keys: list[str]) -> None:
    """A click outside the list chooses exactly these of it."""
    choose(keys)
    st.session_state.pop(_ANSWER, None)
    st.session_state[_CHOICES] = choices_made() + 1
    st.session_state[_IS_PAGE_OLD] = True


def choices_made() -> int:
    """How often something outside the list has chosen for it; a list is drawn anew with each."""
    found: int = st.session_state.get(_CHOICES, 0)
    return found


def go_on() -> None:
    """The answer was read; the most urgent suggestion stands open again."""
    st.session_state.pop(_ANSWER, None)
    st.session_state.pop(_CHOSEN, None)
    st.session_state[_IS_PAGE_OLD] = True


def page_is_drawn() -> None:
    """The whole page is being drawn; what is decided from now on makes it old."""
    st.session_state.pop(_IS_PAGE_OLD, None)


def redraw_if_decided() -> None:
    """Inside a fragment: after a decision the whole page is drawn, otherwise only the fragment."""
    if st.session_state.pop(_IS_PAGE_OLD, False):
        st.rerun()


def _ids() -> dict[str, tuple[object, str]]:
    found: dict[str, tuple[object, str]] = st.session_state.setdefault(_KEYS, {})
    return found
