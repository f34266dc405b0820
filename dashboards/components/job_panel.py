"""A long question on a page: the button that asks it, how far it is, and whose and of when the answer is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards import identity, jobs
from dashboards.components.formats import escape_markdown, format_age, format_count
from dashboards.components.states import main_button
from dashboards.queries import releases
from pipelines.errors import OrdercastError

if TYPE_CHECKING:
    from dashboards.jobs import Answered, Asker, Progress, Question

POLL_SECONDS: Final = 1.5
_PROBLEM: Final = "job-problem"
_ENDED: Final = {"failed": "error", "cancelled": "block", "stopped": "power_off"}


def long_question(asked: Question, *, button: str, name: str, note: str = "") -> Answered | None:
    """The answer with its origin above it, or what there is of it so far; None while there is nothing to draw.

    Where only an older release has an answer, that is what is returned, under a warning that says so.

    Args:
        asked: The question.
        button: What asks it, a verb first: "Compare".
        name: Tells the panel's widgets from those of another on the page.
        note: What a person should know before asking.
    """
    progress = jobs.look(asked)
    if progress.state == "done" and (found := jobs.answer(asked)) is not None:
        st.caption(_origin(found))
        return found
    by = jobs.asker()
    if progress.is_unfinished:
        _watch(asked, by, name)
    else:
        _offer(asked, progress, by, button=button, name=name, note=note)
    older = jobs.older_answer(asked)
    if older is not None:
        st.warning(
            f"The answer below is of an older release, as of {older.job.as_of_date}, and not of what the other figures here show.",
            icon=":material/history:",
        )
    return older


def _offer(asked: Question, progress: Progress, by: Asker, *, button: str, name: str, note: str) -> None:
    if progress.job is not None and progress.state in _ENDED:
        said = progress.job.message or "It was cancelled."
        (st.info if progress.state == "cancelled" else st.error)(escape_markdown(said), icon=f":material/{_ENDED[progress.state]}:")
    if problem := st.session_state.pop(f"{_PROBLEM}-{name}", ""):
        st.error(escape_markdown(problem), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            button if progress.job is None else f"{button} again", icon=":material/play_arrow:", type=main_button(), key=f"ask-{name}",
            disabled=by.why_not is not None, help=by.why_not, on_click=_ask, args=(asked, name),
        )  # fmt: skip
        usual = f"It took {_lasts(progress.usual_seconds)} the last time." if progress.usual_seconds else ""
        st.caption(" ".join(part for part in (note, usual, by.why_not or "") if part), width="stretch")


@st.fragment(run_every=POLL_SECONDS)
def _watch(asked: Question, by: Asker, name: str) -> None:
    """Looks again by itself, and draws the page anew once there is an answer."""
    progress = jobs.look(asked)
    if not progress.is_unfinished or progress.job is None:
        st.rerun()
    st.progress(progress.share or 0.0, text=escape_markdown(_said(progress)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Cancel", icon=":material/cancel:", key=f"cancel-{name}", disabled=by.why_not is not None, on_click=_cancel,
            args=(asked, name),
        )  # fmt: skip
        asked_by = escape_markdown(progress.job.asked_by if progress.job else "")
        st.caption(f"Asked by {asked_by}. You can go on elsewhere: the answer stays here for everybody.", width="stretch")


def _ask(asked: Question, name: str) -> None:
    try:
        identity.confirm(identity.current())
        jobs.ask(asked, jobs.asker())
    except OrdercastError as exc:
        st.session_state[f"{_PROBLEM}-{name}"] = str(exc)


def _cancel(asked: Question, name: str) -> None:
    try:
        identity.confirm(identity.current())
        jobs.cancel(asked, jobs.asker())
    except OrdercastError as exc:
        st.session_state[f"{_PROBLEM}-{name}"] = str(exc)


def _said(progress: Progress) -> str:
    """As in "Working it out for 24 s of about 30 s. Replaying: 2026-03-01"."""
    if progress.state == "waiting":
        before = f": {format_count(progress.place, 'question')} before it" if progress.place else ""
        return f"Waiting in line{before}. One is worked out at a time, so that the pages stay quick."
    seconds = progress.job.seconds if progress.job else None
    usual = f" of about {_lasts(progress.usual_seconds)}" if progress.usual_seconds else ""
    return f"Working it out for {_lasts(seconds or 0.0)}{usual}. {progress.detail}".strip()


def _origin(found: Answered) -> str:
    job = found.job
    ended = datetime.fromisoformat(job.finished_at) if job.finished_at else releases.now()
    age = format_age(releases.now() - ended)
    return f"Worked out {age} ago for {escape_markdown(job.asked_by)} in {_lasts(job.seconds or 0.0)}, from the release shown here."


def _lasts(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
