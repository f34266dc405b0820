"""What became of the last click, with the way on; and the way back, as long as there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl
import streamlit as st

from dashboards import decisions
from dashboards.components.deciding import go_on, redraw_if_decided, send
from dashboards.components.decision_card import confirm_button, show_before_and_after, undo_button
from dashboards.components.exports import export_button
from dashboards.components.formats import escape_markdown, format_count, format_price
from dashboards.components.states import main_button

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from dashboards.decisions import Answer
    from pipelines.decisions.lifecycle import DecisionAction
    from pipelines.decisions.requests import Decision

ROWS_IN_FULL: Final = 8
HEIGHT_PIXELS: Final = 420
_LOOKS: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "approved": (st.success, ":material/check_circle:"), "rejected": (st.success, ":material/check_circle:"),
    "snoozed": (st.success, ":material/check_circle:"), "undone": (st.success, ":material/undo:"),
    "stale": (st.warning, ":material/sync_problem:"), "waiting": (st.info, ":material/group:"),
    "refused": (st.error, ":material/error:"), "unavailable": (st.error, ":material/cloud_off:"),
}  # fmt: skip
_DEFINITIONS: Final = {
    "item": "The item and its location.",
    "outcome": "What became of it: done as asked, or why not in one word.",
    "message": "The same in a sentence, with what to do where it was not done.",
}


@st.fragment
def answer_card(answer: Answer, *, as_of: date) -> None:
    """The answer of the service: one sentence about one suggestion, a result per row of several."""
    redraw_if_decided()
    if len(answer.results) == 1:
        _show_one(answer)
    else:
        _show_all(answer, as_of=as_of)


def _show_one(answer: Answer) -> None:
    row, request, result = answer.rows[0], answer.requests[0], answer.results[0]
    draw, icon = _LOOKS[result.outcome]
    item = escape_markdown(f"{row['sku']} {row['title']} · {row['location']}")
    draw(f"**{item}**\n\n{escape_markdown(result.message)}{_missing(result)}{_next_step(result)}", icon=icon)
    now_row = dict(row) | {"version": result.version or row["version"]}
    if result.outcome == "stale" and result.basis_before is not None and result.basis_now is not None:
        show_before_and_after(result.basis_before, result.basis_now)
    with st.container(horizontal=True, gap="small"):
        # first, where the button stood that was clicked: a second click there opens something and decides nothing
        _go_on_button(answer)
        if result.outcome == "stale" and result.basis_now is not None and result.basis_now["qty"]:
            confirm_button(now_row, request.actor, result.basis_now)
        if result.outcome in {"approved", "rejected", "snoozed"}:
            undo_button(now_row, request.actor)


def _show_all(answer: Answer, *, as_of: date) -> None:
    done = f"{answer.done_count:,} of {format_count(len(answer.results), 'suggestion')} done."
    is_whole = answer.done_count == len(answer.results)
    (st.success if is_whole else st.warning)(
        f"**{done}**" + ("" if is_whole else " The others are listed first, each with what to do about it."),
        icon=":material/check_circle:" if is_whole else ":material/rule:",
    )
    told = decisions.result_rows(answer.rows, answer.results)
    show_results(told, name="decision-results", as_of=as_of, action=answer.requests[0].action)
    with st.container(horizontal=True, gap="small"):
        _go_on_button(answer)


def show_results(results: pl.DataFrame, *, name: str, as_of: date, action: DecisionAction) -> None:
    """A result per row with its whole sentence, which may be long, and their export."""
    export_button(results, name=name, as_of=as_of, filters={"action": action}, definitions=_DEFINITIONS)
    shown = results.with_columns(
        pl.Series(column, map(escape_markdown, results[column]), dtype=pl.String) for column in ("item", "message")
    )
    headings = {"item": "Item", "outcome": "Result", "message": "What happened"}
    height: int | Literal["content"] = "content" if results.height <= ROWS_IN_FULL else HEIGHT_PIXELS
    st.table(shown.rename(headings), border="horizontal", height=height, hide_index=True, alt="A result for each suggestion")


def _go_on_button(answer: Answer) -> None:
    if any(result.outcome == "unavailable" for result in answer.results):
        st.button(
            "Send again", icon=":material/refresh:", type=main_button(), on_click=send, args=(answer.rows, answer.requests),
            key="send-again",
            help="The same decision with the same key: if it took effect already, nothing happens twice.",
        )  # fmt: skip
    st.button("Go on", icon=":material/arrow_forward:", on_click=go_on, key="go-on", help="Opens the most urgent suggestion of the list.")


def _missing(result: Decision) -> str:
    amount, least = result.order_amount, result.minimum_amount
    if result.outcome != "approved" or amount is None:
        return ""
    return (
        f" The draft comes to {escape_markdown(format_price(amount, result.currency_code))} now."
        if least is None or amount >= least
        else ""
    )


def _next_step(result: Decision) -> str:
    if result.outcome == "unavailable":
        return " Whether it took effect is not known: send it again once the store answers; it has one effect however often it is sent."
    if result.outcome == "waiting":
        return " It stands under *Second person* until then."
    return ""
