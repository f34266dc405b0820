"""One exception: how it stands, what may be done about it, and everything that became of it; or several, to be acknowledged together."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards.components.at_risk_list import due_words
from dashboards.components.deciding import form_of
from dashboards.components.formats import escape_markdown, format_count, format_date
from dashboards.components.states import main_button
from dashboards.components.tables import data_table
from dashboards.handling import last_told, submit
from dashboards.queries.exceptions import one_exception
from dashboards.queries.suggestions import local_time
from pipelines.alerts.exceptions import RESOLUTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from dashboards.decisions import Acting
    from pipelines.alerts.handling import Action
    from pipelines.alerts.listing import Event, ExceptionEntry

SNOOZE_DAYS: Final = 1
LONGEST_SNOOZE_DAYS: Final = 91
NOTE_CHARS: Final = 500
OWNER_CHARS: Final = 200
_CODES: Final = {"fixed": "Fixed", "accepted": "Accepted", "false_alarm": "False alarm"}
_EVENTS: Final = {
    "at": "When, in the shop's time zone.", "actor": "Who; ordercast is the rule that looks at every release.",
    "action": "What was done.", "from_state": "How it stood before.", "to_state": "How it has stood since.", "note": "In their own words.",
}  # fmt: skip


def show_told() -> bool:
    """What became of the last click; whether there was one."""
    told = last_told()
    if told is None:
        return False
    if told.done_count:
        st.success(f"**{escape_markdown(told.text)}**", icon=":material/check_circle:")
    for problem in dict.fromkeys(told.problems):
        st.error(escape_markdown(problem), icon=":material/error:")
    return True


def exception_card(exception_id: str, who: Acting, *, zone: str, as_of: date, now: datetime) -> None:
    """State, owner and due time, the buttons for whoever may, and the history.

    Args:
        exception_id: The exception.
        who: Who looks.
        zone: The shop's time zone.
        as_of: The last complete day, for exports.
        now: The wall clock.
    """
    entry, events = one_exception(exception_id, now=now)
    today = now.astimezone(ZoneInfo(zone)).date()
    st.markdown(f"**Exception** · {escape_markdown(standing_words(entry, zone=zone, today=today))}")
    if entry.resolution:
        st.caption(escape_markdown(entry.resolution))
    if entry.state == "resolved":
        st.caption(
            "A resolved exception is not opened again. If it is still so once its rule's quiet hours are over, a fixed one is raised anew."
        )
    elif who.operator is not None and who.why_not is None:
        _actions(entry, events, who.operator.actor, zone=zone, today=today)
    if events:
        _history(events, entry, zone=zone, as_of=as_of)


def standing_words(entry: ExceptionEntry, *, zone: str, today: date) -> str:
    """How it stands, whose it is and until when: `Open · purchasing · until Tue 24 Nov 04:57`."""
    state = entry.state.capitalize()
    if entry.state == "snoozed" and entry.snoozed_until is not None:
        back = local_time(entry.snoozed_until, zone)
        state = f"Snoozed until {format_date(back.date(), today=today)} {back:%H:%M}"
    due = due_words(None if entry.due_at is None else local_time(entry.due_at, zone), is_overdue=entry.is_overdue, today=today)
    until = "" if due is None or entry.state == "resolved" else (due if entry.is_overdue else f"until {due}")
    return " · ".join(filter(None, [state, entry.owner or "nobody's", until]))


def acknowledge_together(rows: Sequence[Mapping[str, Any]], who: Acting) -> None:
    """The button that acknowledges those of the chosen rows whose exception nobody has acknowledged yet."""
    st.subheader(f"{len(rows):,} selected", anchor=False)
    open_ones = [row for row in rows if row["exception_id"] is not None and row["state"] == "Open"]
    if who.operator is None or who.why_not is not None:
        st.caption("You may look at them, and not handle them.")
        return
    if not open_ones:
        st.caption("None of them has an open exception.")
        return
    if len(open_ones) < len(rows):
        st.caption(f"{format_count(len(rows) - len(open_ones), 'of them')} has no open exception and stays as it is.")
    form = form_of("acknowledge exceptions", [{"rec_id": row["exception_id"], "version": row["state"]} for row in open_ones])
    named = [(row["exception_id"], row["title"] if "title" in row else f"Order {row['order_id']}") for row in open_ones]
    st.button(
        f"Acknowledge {format_count(len(open_ones), 'exception')}", key=form, type=main_button(), icon=":material/done_all:",
        help="Says that somebody has seen them and is at it.", on_click=submit,
        args=(form, named, "acknowledge", who.operator.actor, dict),
    )  # fmt: skip


def _actions(entry: ExceptionEntry, events: Sequence[Event], actor: str, *, zone: str, today: date) -> None:
    version = len(events)  # every change is an event, so a form that was drawn before one is another form after it

    def button(
        label: str, action: Action, values: Callable[[], Mapping[str, Any]], *, icon: str | None = None, is_in_form: bool = True
    ) -> None:
        form = form_of(f"{action} exception", [{"rec_id": entry.exception_id, "version": version}])
        draw = st.form_submit_button if is_in_form else st.button
        draw(
            label, key=form, icon=icon, type=main_button(), on_click=submit,
            args=(form, [(entry.exception_id, entry.title)], action, actor, values),
        )  # fmt: skip

    def key(name: str) -> str:
        return f"{name}-{entry.exception_id}-{version}"

    def note(name: str) -> str | None:
        return str(st.session_state[f"{key(name)}-note"]).strip() or None

    with st.container(horizontal=True, gap="small"):
        if entry.state == "open":
            button("Acknowledge", "acknowledge", dict, icon=":material/visibility:", is_in_form=False)
        if entry.state == "snoozed":
            button("Bring it back now", "acknowledge", dict, icon=":material/undo:", is_in_form=False)
        with st.popover("Snooze", icon=":material/snooze:", key=f"{key('snooze')}-popover"), st.form(key("snooze"), border=False):
            st.date_input(
                "Until the morning of", value=today + timedelta(days=SNOOZE_DAYS), min_value=today + timedelta(days=1),
                max_value=today + timedelta(days=LONGEST_SNOOZE_DAYS), key=f"{key('snooze')}-until",
            )  # fmt: skip
            st.text_input("Why (optional)", key=f"{key('snooze')}-note", max_chars=NOTE_CHARS)
            button(
                "Snooze it", "snooze", lambda: {"until": _morning(st.session_state[f"{key('snooze')}-until"], zone), "note": note("snooze")}
            )
        with st.popover("Give to", icon=":material/person_add:", key=f"{key('assign')}-popover"), st.form(key("assign"), border=False):
            st.text_input("Operator or team", key=f"{key('assign')}-owner", max_chars=OWNER_CHARS)
            st.text_input("Why (optional)", key=f"{key('assign')}-note", max_chars=NOTE_CHARS)
            button(
                "Give it to them",
                "assign",
                lambda: {"owner": str(st.session_state[f"{key('assign')}-owner"]).strip(), "note": note("assign")},
            )
        with st.popover("Resolve", icon=":material/task_alt:", key=f"{key('resolve')}-popover"), st.form(key("resolve"), border=False):
            st.selectbox(
                "As", list(RESOLUTIONS), format_func=lambda code: f"{_CODES[code]}: {RESOLUTIONS[code]}", index=None,
                placeholder="Choose what became of it", key=f"{key('resolve')}-code",
            )  # fmt: skip
            st.text_input("In your own words", key=f"{key('resolve')}-note", max_chars=NOTE_CHARS)
            button(
                "Resolve it", "resolve",
                lambda: {"resolution_code": st.session_state[f"{key('resolve')}-code"], "note": note("resolve")},
            )  # fmt: skip


def _morning(day: date, zone: str) -> datetime:
    """Six o'clock of that day in the shop's zone, as UTC without zone."""
    return datetime.combine(day, time(6), tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def _history(events: Sequence[Event], entry: ExceptionEntry, *, zone: str, as_of: date) -> None:
    rows = pl.DataFrame(
        [(local_time(one.at, zone), one.actor, one.action.capitalize(), one.from_state, one.to_state, one.note) for one in events],
        schema={name: pl.Datetime("us") if name == "at" else pl.String for name in _EVENTS},
        orient="row",
    )  # fmt: skip
    with st.expander(f"What became of it: {format_count(rows.height, 'step')}", icon=":material/history:"):
        data_table(
            rows, name=f"exception-{entry.exception_id[:8]}", as_of=as_of, alt="Steps of the exception, oldest first",
            labels={"at": "When", "actor": "Who", "action": "What", "from_state": "From", "to_state": "To", "note": "Note"},
            filters={"exception": entry.exception_id}, definitions=_EVENTS,
        )  # fmt: skip
