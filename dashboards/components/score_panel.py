"""What decided suggestions were worth, in one row of figures, and how that was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.formats import escape_markdown, format_count, format_money, format_units

if TYPE_CHECKING:
    from dashboards.queries.outcomes import Scores

HOW: Final = """
After each run, every decision whose window has passed is measured once. The window goes from the suggestion to its expected receipt and one
review period more. The same days are replayed without the order (or, where it was rejected, with it).

- **Stock-outs averted**: at most 5 % of what would have been lost without it was lost with it.
- **Margin kept**: units not lost, times list price less unit cost; an upper bound where the shop would have reacted otherwise.
- **Excess caused**: units held longer than without it, at their unit cost and yearly holding rate.
- **Added by people**: what changes and rejections of suggestions were worth beside taking them as proposed.

`ordercast outcomes` lists each one, and `ordercast outcomes --by planner` the score of each planner.
"""


def score_panel(scores: Scores) -> None:
    """The scorecard; an honest sentence where nothing was measured yet."""
    if scores.problem:
        st.caption(f":material/cloud_off: Unknown while the store does not answer: {escape_markdown(scores.problem)}")
        return
    with st.container(border=True, gap="small"):
        if scores.rows.is_empty():
            st.markdown(f"**No decision was measured in the last {scores.days} days.**")
            st.caption(_waiting(scores) or "None waits to be measured either: the worklist has what is open.")
        for row in scores.rows.iter_rows(named=True):
            _figures(row, scores)
        if not scores.rows.is_empty() and (waiting := _waiting(scores)):
            st.caption(waiting)
        with st.popover("How it is measured", icon=":material/help:", width="content"):
            st.markdown(HOW)


def _figures(row: dict[str, Any], scores: Scores) -> None:
    currency = row["currency_code"] or ""
    figures = (
        ("Accepted", f"{row['accepted_count']:,} of {row['decided_count']:,}", "Suggestions that people accepted, of all they decided."),
        (
            "Stock-outs averted",
            format_units(row["averted_count"]),
            "Decisions after which at most 5 % of what would have been lost was lost.",
        ),
        ("Margin kept", format_money(row["averted_margin_amount"], currency), "Units not lost, times list price less unit cost."),
        ("Excess caused", format_money(row["excess_cost_amount"], currency), "Cost of holding units longer than without the decisions."),
        (
            "Added by people",
            format_money(row["override_value_amount"], currency),
            "What changes and rejections were worth beside the proposals.",
        ),
    )
    with st.container(horizontal=True):
        for label, value, explained in figures:
            st.metric(label, value, help=explained)
    left_out = [
        format_count(row["unknown_count"], "decision") + " could not be measured" if row["unknown_count"] else "",
        format_count(row["no_money_count"], "decision") + " without a price count in no amount" if row["no_money_count"] else "",
    ]
    said = f"Windows that ended in the last {scores.days} days"
    st.caption(escape_markdown(" · ".join([said, *filter(None, left_out)])))


def _waiting(scores: Scores) -> str:
    if not scores.waiting_count:
        return ""
    return f"{format_count(scores.waiting_count, 'decision')} still to be measured: the window has to pass first."
