"""The releases that are kept, and the way back to one of them, for an admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from dashboards import decisions, identity
from dashboards.components.formats import escape_markdown, format_count
from dashboards.components.health_words import HEALTH_WORDS
from dashboards.components.states import errors_as_sentences, main_button
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from dashboards.queries.releases import Served

_TOLD = "told_of_release"


def release_list(served: Served, kept: pl.DataFrame) -> None:
    """All kept releases, newest first, and a form to serve another one again."""
    st.markdown(f"**{format_count(kept.height, 'release')} kept; served is {escape_markdown(served.release.release_id)}**")
    data_table(
        kept, name="releases", as_of=served.context.as_of_date, alt="Releases, newest first",
        labels={"release_id": "Release", "is_served": "Served", "checks_passed": "Checks passed", "rows_count": "Rows",
                "code_version": "Version"},
        filters={}, definitions=HEALTH_WORDS,
    )  # fmt: skip
    if told := st.session_state.pop(_TOLD, None):
        st.success(escape_markdown(told), icon=":material/check_circle:")
    others = kept.filter(~pl.col("is_served"))["release_id"].to_list()
    operator = identity.current().operator
    if operator is None or not operator.is_at_least("admin"):
        st.caption("An admin can serve an older release again, here or with `ordercast releases rollback`.")
    elif others:
        _go_back(others, operator.actor)


def _go_back(others: list[str], actor: str) -> None:
    with st.popover("Serve another release", icon=":material/history:", width="content"), st.form("serve-release", border=False):
        wanted = st.selectbox("Release", others)
        reason = st.text_input("Why", placeholder="What is wrong with the one that is served", max_chars=200)
        st.caption(
            "Every page shows it at once. No file is changed, suggestions stay those of the latest run, and the next run publishes anew."
        )
        if st.form_submit_button("Serve it", type=main_button(), icon=":material/check:"):
            with errors_as_sentences("The other release"):
                decisions.serve_release(wanted, reason=reason, actor=actor)
                st.session_state[_TOLD] = f"Served is now {wanted}."
                st.rerun()
