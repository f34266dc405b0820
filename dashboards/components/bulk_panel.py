"""Several suggestions at once: what to do, what would come of it, and only then the button that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import decisions
from dashboards.components.answer_card import show_results
from dashboards.components.deciding import decision_id, form_of, redraw_if_decided, submit
from dashboards.components.decision_card import reject_fields, reject_values, snooze_fields, snooze_values
from dashboards.components.draft_list import show_drafts
from dashboards.components.formats import format_count
from dashboards.components.states import errors_as_sentences, main_button
from dashboards.queries.suggestions import APPROVED, REJECTED, SECOND_PERSON, SNOOZED, STALE, TO_DECIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from dashboards.decisions import Acting
    from pipelines.decisions.lifecycle import DecisionAction
    from pipelines.decisions.requests import Decision

BULK_ACTIONS: Final[dict[str, tuple[DecisionAction, ...]]] = {
    TO_DECIDE: ("approve", "snooze", "reject"), SECOND_PERSON: ("approve", "undo", "snooze", "reject"), STALE: ("snooze", "reject"),
    SNOOZED: ("undo", "reject"), APPROVED: ("undo",), REJECTED: ("undo",),
}  # fmt: skip
_VERBS: Final = {"approve": "Accept", "snooze": "Snooze", "reject": "Reject", "undo": "Undo"}
_PREVIEW: Final = "bulk-preview"


@st.fragment
def bulk_panel(rows: Sequence[Mapping[str, Any]], acting: Acting, *, state: str, as_of: date, today: date) -> None:
    """One decision about all these rows, which are of one state: previewed first, then carried out, with a result per row."""
    redraw_if_decided()
    with errors_as_sentences("The bulk"):
        st.subheader(format_count(len(rows), "suggestion") + " selected", anchor=False)
        chosen = [row for row in rows if acting.may_decide(row)]
        if not chosen or acting.operator is None:
            st.caption("None of them can be decided here.")
            return
        if len(chosen) < len(rows):
            st.caption(f"{format_count(len(rows) - len(chosen), 'of them')} cannot be decided by you and stays out.")
        action = st.segmented_control(
            "What to do with them", BULK_ACTIONS[state], default=BULK_ACTIONS[state][0], format_func=_VERBS.__getitem__, required=True,
            key=f"bulk-action-{state}",
        )  # fmt: skip
        values = _fields(action, today=today)
        _preview_then_do(chosen, action, acting.operator.actor, values, as_of=as_of)


def _fields(action: DecisionAction, *, today: date) -> dict[str, Any]:
    if action == "snooze":
        snooze_fields("bulk-snooze", today=today)
        return snooze_values("bulk-snooze")
    if action == "reject":
        reject_fields("bulk-reject")
        return reject_values("bulk-reject")
    return {}


def _preview_then_do(rows: Sequence[Mapping[str, Any]], action: DecisionAction, actor: str, values: dict[str, Any], *, as_of: date) -> None:
    """The button that carries it out stands only beside the preview of exactly that."""
    form = form_of(f"bulk {action}", rows)
    content = (form, actor, action, values)
    if st.button("Preview", icon=":material/preview:", key="bulk-preview-button", help="Changes nothing; shows what would come of it."):
        key = decision_id(form, (actor, action, values))
        asked = decisions.requests_for(rows, action, decision_id=key, actor=actor, values=values)
        st.session_state[_PREVIEW] = (content, decisions.preview(asked))
    kept, results = st.session_state.get(_PREVIEW, (None, ()))
    if kept != content:
        return
    _show_preview(rows, results, action, as_of=as_of)
    done = sum(result.outcome in {"approved", "snoozed", "rejected", "undone", "waiting"} for result in results)
    if done:
        st.button(
            f"{_VERBS[action]} {format_count(done, 'suggestion')}", key=form, type=main_button(), icon=":material/done_all:",
            on_click=submit,
            args=(form, rows, action, actor, lambda: values),
        )  # fmt: skip


def _show_preview(rows: Sequence[Mapping[str, Any]], results: Sequence[Decision], action: DecisionAction, *, as_of: date) -> None:
    drafts = decisions.predicted_drafts(rows, results)
    if drafts.height:
        for (kind,), of_kind in drafts.group_by("kind", maintain_order=True):
            noun = "draft transfer" if kind == "transfer" else "draft order"
            st.markdown(f"**{format_count(of_kind.height, noun)} would come out or grow**")
            show_drafts(of_kind)
    told = decisions.result_rows(rows, results)
    undone = told.filter(~pl.col("outcome").is_in(["Approved", "Snoozed", "Rejected", "Undone"]))
    if undone.height:
        st.markdown(f"**{format_count(undone.height, 'suggestion')} would not go through at once**")
        show_results(undone, name="decision-preview", as_of=as_of, action=action)
    st.caption(
        f"Nothing has been changed yet; {len(results) - undone.height:,} of {format_count(len(results), 'suggestion')} would be done."
    )
