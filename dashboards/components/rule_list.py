"""The policy rules: which hold, are to come, or have ended; their history; and how an admin takes the newest version back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import decisions
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count
from dashboards.components.rule_words import scope_words, settings_words, times_words
from dashboards.components.states import main_button
from pipelines.errors import OrdercastError

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.rules import RuleBook

ANSWER: Final = "rule_answer"  # (what happened, whether it did)
_STANDING: Final = ("rule", "state", "scope", "settings", "times", "items_count", "priority", "reason", "author")
_ALL: Final = (*_STANDING[:5], "reason", "author", "created_at", "reverted_by", "revert_reason")
_DEFINITIONS: Final = {
    "rule": "Name and version; a rule's newest version counts.",
    "state": "On the day after as-of: in force, out of season, to come, ended, replaced by a later version, or reverted.",
    "scope": "For which items, locations, channels and suppliers it sets values.",
    "settings": "Which settings of the planning it sets, and to what.",
    "times": "From which day to which it counts, and in which season of each year.",
    "items_count": "Items at a location that take a value from it on the day after as-of.",
    "priority": "Decides between rules of one scope; the higher wins.",
    "reason": "Why it was written, in its author's words.",
    "author": "Who wrote it.",
    "created_at": "When it was written, UTC.",
    "reverted_by": "Who took it back; empty where nobody has.",
    "revert_reason": "Why it was taken back.",
}
_ENDED: Final = ("ended", "replaced by", "reverted by")


def rule_list(book: RuleBook, *, as_of: date, today: date) -> None:
    """What holds and what is scheduled, and below it all versions that there ever were."""
    show_answer()
    rows = [_row(version, today=today) for version in book.versions]
    current = [row for row in rows if not row["state"].startswith(_ENDED)]
    if current:
        title = f"**{format_count(len(current), 'rule version')} in force, out of season or to come**"
        _table(pl.DataFrame(current, infer_schema_length=None), _STANDING, title=title, name="policy-rules", as_of=as_of)
    else:
        st.info("No rule stands: the settings hold for all items. An admin can add one below.", icon=":material/rule:")
    if len(rows) > len(current):
        with st.expander(f"History: all {len(rows):,} versions", icon=":material/history:"):
            _table(pl.DataFrame(rows, infer_schema_length=None), _ALL, title="Newest first", name="policy-rule-history", as_of=as_of)


def revert_rule(book: RuleBook, actor: str) -> None:
    """A rule's newest version is taken back, with a reason; what then counts is said first."""
    if not book.names:
        return
    with st.popover("Revert a rule", icon=":material/undo:", key="revert-rule"):
        name = st.selectbox("Rule", book.names, key="revert-name")
        newest = book.newest(name)
        before = sorted(rule.version for rule in book.standing if rule.rule_id == name and rule.version != newest.version)
        again = f"{name}/{before[-1]} counts again" if before else "no version of it is left"
        st.markdown(f"**{escape_markdown(newest.name)}** counts no more from the next run on: {escape_markdown(again)}.")
        st.text_input("Why", key="revert-reason", max_chars=500)
        st.button(
            f"Revert {newest.name}", icon=":material/undo:", type=main_button(), key=f"revert-{newest.name}", on_click=_revert,
            args=(newest.name, name, actor),
        )  # fmt: skip


def show_answer() -> None:
    """What became of the last click about rules, once."""
    said, is_done = st.session_state.pop(ANSWER, ("", True))
    if said:
        (st.success if is_done else st.error)(said, icon=":material/check_circle:" if is_done else ":material/error:")


def _revert(version: str, rule_id: str, actor: str) -> None:
    """A click; one that comes twice finds its version reverted, since the button names the version that was shown."""
    if st.session_state.get("reverted") == version:
        return
    try:
        gone, again = decisions.revert_rule(rule_id, reason=st.session_state["revert-reason"], actor=actor)
    except OrdercastError as exc:
        st.session_state[ANSWER] = (escape_markdown(str(exc)), False)
        return
    st.session_state["reverted"] = version
    rest = f"{again.name} counts again" if again else "no version of it is left"
    st.session_state[ANSWER] = (f"**{escape_markdown(gone.name)} is reverted**: {escape_markdown(rest)}, from the next run on.", True)


def _row(version: dict[str, Any], *, today: date) -> dict[str, Any]:
    return {
        "rule": version["name"], "state": version["state"], "scope": scope_words(version["scope"]),
        "settings": settings_words(version["settings"]), "times": times_words(version, today=today),
        "items_count": version["items_count"], "priority": version["priority"], "reason": version["reason"], "author": version["author"],
        "created_at": version["created_at"], "reverted_by": version["reverted_by"], "revert_reason": version["revert_reason"],
    }  # fmt: skip


def _table(rows: pl.DataFrame, columns: tuple[str, ...], *, title: str, name: str, as_of: date) -> None:
    column = st.column_config
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(title, width="content")
        export_button(rows, name=name, as_of=as_of, filters={}, definitions=_DEFINITIONS)
    first = pl.col("state").str.slice(0, 1).str.to_uppercase() + pl.col("state").str.slice(1)
    st.dataframe(
        rows.with_columns(first.alias("state")).select(columns),
        column_config={
            "rule": column.TextColumn("Rule", width=95), "state": column.TextColumn("State", width=95),
            "scope": column.TextColumn("For", width=130), "settings": column.TextColumn("Sets", width=160),
            "times": column.TextColumn("When", width=150),
            "items_count": column.NumberColumn("Items", format="%,d", width=60, help=_DEFINITIONS["items_count"]),
            "priority": column.NumberColumn("Priority", width=65, help=_DEFINITIONS["priority"]),
            "reason": column.TextColumn("Why", width=150), "author": column.TextColumn("By", width=70),
            "created_at": column.DatetimeColumn("Written (UTC)", format="D MMM YYYY HH:mm", width=125),
            "reverted_by": column.TextColumn("Reverted by", width=90), "revert_reason": column.TextColumn("Why reverted", width=140),
        },
        row_height=56, hide_index=True, placeholder="-", alt="Policy rules, newest version first",
    )  # fmt: skip
