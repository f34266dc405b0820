"""What a planner may do about one suggestion, as buttons; what each would come to stands beside it before it is pressed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards import decisions
from dashboards.components.deciding import form_of, redraw_if_decided, submit
from dashboards.components.edit_outcome import show_outcome
from dashboards.components.formats import UNKNOWN, asked_words, escape_markdown, format_date, format_money, format_price, format_units
from dashboards.components.states import errors_as_sentences, main_button
from dashboards.queries.suggestions import APPROVED, REJECTED, SECOND_PERSON, SNOOZED, STALE, TO_DECIDE
from pipelines.decisions.lifecycle import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from dashboards.decisions import Acting
    from inventory.choices import OrderChoice
    from pipelines.decisions.lifecycle import DecisionAction

SNOOZE_DAYS: Final = 7
COMMENT_CHARS: Final = 500
_PUT_OFF: Final = (TO_DECIDE, SECOND_PERSON, STALE)
_PRICED: Final = ("purchase", "cancel_po")
_EDITED: Final = {"purchase": "Order", "transfer": "Move", "cancel_po": "Cancel"}  # kinds whose quantity a person may choose
_TAKES: Final = {"transfer": "The place it comes from can give", "cancel_po": "Of this line can be cancelled"}
_DRAFT_CHANGE: Final = "Writes a draft change. A person settles it with the supplier and changes the order in the shop."
_EXPLAINED: Final = {
    "transfer": "Writes a draft transfer. A person submits it in the shop.", "expedite": _DRAFT_CHANGE, "defer": _DRAFT_CHANGE,
    "cancel_po": _DRAFT_CHANGE, "allocate": "Proposes reservations for these orders. A person reserves them in the shop.",
}  # fmt: skip
_DRAFT_WORDS: Final = {
    "expedite": "as draft change", "defer": "as draft change", "cancel_po": "as draft change", "allocate": "as proposed reservations",
}  # fmt: skip
_FACTS: Final = {
    "qty": "Units", "unit_cost": "Unit price", "free_qty": "Free stock", "inbound_qty": "On its way", "open_qty": "Still to come",
    "expected_date": "Expected",
}  # fmt: skip
_UNDO_LABEL: Final = {APPROVED: "Undo the approval", REJECTED: "Undo the rejection", SNOOZED: "Bring it back now"}


@st.fragment
def decision_card(row: Mapping[str, Any], acting: Acting, *, today: date, choices: Sequence[OrderChoice] = ()) -> None:
    """The buttons of one suggestion. Typing into it draws only the card anew; a decision draws the page.

    Args:
        row: A row of `Suggestions.frame`.
        acting: Who decides.
        today: The day by the clock that decisions go by.
        choices: What other quantities of an order would come to.
    """
    redraw_if_decided()
    with errors_as_sentences("What can be decided"):
        _show_state(row, today=today)
        if not acting.may_decide(row):
            _show_why_not(row, acting)
            return
        now = _show_moved(row, acting) if row["state"] == STALE else None
        with st.container(horizontal=True, gap="small"):
            if now is not None and now["qty"]:
                confirm_button(row, _actor(acting), now)
            _ACTIONS[row["state"]](row, acting, today)
            if row["state"] == TO_DECIDE and row["kind"] in _EDITED:
                _edit(row, acting, choices)
            if row["state"] in _PUT_OFF:
                _put_off(row, acting, today)


def approve_button(row: Mapping[str, Any], acting: Acting, *, today: date) -> None:
    """The one button that accepts it as proposed, or agrees as the second person."""
    if row["state"] == SECOND_PERSON:
        if acting.may_be_second(row):
            _button(_too(row, today=today), row, "approve", _actor(acting), dict, icon=":material/check:", is_primary=True)
        else:
            st.caption("An approver other than the first person has to approve it.", width="content")
        return
    said = _said(dict(row) | {"qty": row["recommended_qty"]}, today=today)
    _button(
        f"Accept {said}" if row["kind"] == "purchase" else f"Accept: {said}", row, "approve", _actor(acting), dict, icon=":material/check:",
        is_primary=True, explained=_EXPLAINED.get(row["kind"], "Writes a line on a draft order. A person submits the draft in the shop."),
    )  # fmt: skip


def confirm_button(row: Mapping[str, Any], actor: str, now: Mapping[str, Any]) -> None:
    """Approves with the numbers of this moment, which stand on the page beside what was proposed."""
    cost = None if now["unit_cost"] is None else Decimal(now["unit_cost"])
    price = "" if cost is None or row["kind"] not in _PRICED else f" at {format_price(cost, now['currency_code'])}"
    _button(
        f"Confirm {format_units(now['qty'])} units{price}", row, "approve", actor,
        lambda: {"qty": now["qty"], "confirmed_qty": now["qty"], "confirmed_unit_cost": cost}, icon=":material/check:", is_primary=True,
    )  # fmt: skip


def show_before_and_after(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """What was proposed and what would be proposed now, side by side."""
    rows = [
        {"": name, "Proposed": _basis_words(before, key), "Now": _basis_words(now, key)} for key, name in _FACTS.items()
        if key in now and (key != "unit_cost" or "order_up_to_qty" in now)
    ]  # fmt: skip
    given = {line["order_line_id"]: line["qty"] for line in before.get("lines", ())}
    for line in now.get("lines", ()):
        was, is_now = given.get(line["order_line_id"], 0), line["qty"]
        rows.append({"": escape_markdown(line["order_line_id"]), "Proposed": format_units(was), "Now": format_units(is_now)})
    st.table(rows, border="horizontal", hide_index=True, width="content")


def undo_button(row: Mapping[str, Any], actor: str, *, label: str = "Undo") -> None:
    """Takes the last decision back."""
    _button(label, row, "undo", actor, dict, icon=":material/undo:")


def _show_state(row: Mapping[str, Any], *, today: date) -> None:
    who = escape_markdown(row["decided_by"] or "")
    when = "" if row["decided_at"] is None else f", {format_date(row['decided_at'].date(), today=today)} {row['decided_at']:%H:%M}"
    why = f": {escape_markdown(row['decided_why'])}" if row["decided_why"] else ""
    units = _said(row, today=today)
    if row["state"] == SECOND_PERSON:
        st.info(
            f"**{who} approved: {units}**{when}. A second person has to agree{why}.",
            icon=":material/group:",
        )
    elif row["state"] == APPROVED and row["status"] == "approved":
        st.success(
            f"**Approved by {who}**{when}: {units}, {_DRAFT_WORDS.get(row['kind'], 'on draft')} {row['draft_id'] or '-'}.",
            icon=":material/check_circle:",
        )
    elif row["state"] == APPROVED:
        word = "Submitted in the shop" if row["status"] == "applied" else "Refused by the target; undo it, or submit it another way"
        st.info(f"**{word}**, approved by {who}{when}: {units}.", icon=":material/local_shipping:")
    elif row["state"] == REJECTED:
        st.info(f"**Rejected by {who}**{when}{why}", icon=":material/block:")
    elif row["state"] == SNOOZED:
        until = format_date(row["snoozed_until"], today=today)
        st.info(f"**Snoozed by {who} until {until}**{when}{why}", icon=":material/snooze:")


def _show_why_not(row: Mapping[str, Any], acting: Acting) -> None:
    if acting.why_not is None and row["rec_id"] is None:
        st.caption("Not in the operational store yet: it can be decided once the run has written it back.")
    elif acting.why_not is None and acting.operator is not None:
        st.caption(
            f"{escape_markdown(acting.operator.actor)} may not decide about this location or supplier; an admin can widen the scope."
        )


def _open(row: Mapping[str, Any], acting: Acting, today: date) -> None:
    approve_button(row, acting, today=today)


def _second(row: Mapping[str, Any], acting: Acting, today: date) -> None:
    approve_button(row, acting, today=today)
    undo_button(row, _actor(acting), label="Undo the first approval")


def _show_moved(row: Mapping[str, Any], acting: Acting) -> Mapping[str, Any] | None:
    """What was proposed beside what holds now, which is returned; None where nothing can be proposed any more."""
    asked = decisions.requests_for([row], "approve", decision_id=form_of("preview", [row]), actor=_actor(acting), values={})
    (result,) = decisions.preview(asked)
    st.warning(escape_markdown(result.message), icon=":material/sync_problem:")
    if result.basis_before is not None and result.basis_now is not None:
        show_before_and_after(result.basis_before, result.basis_now)
    return result.basis_now


def _put_off(row: Mapping[str, Any], acting: Acting, today: date) -> None:
    _snooze(row, acting, today)
    _reject(row, acting)


def _nothing(row: Mapping[str, Any], acting: Acting, today: date) -> None:
    """What is stale is confirmed beside its new numbers, or put off."""


def _decided(row: Mapping[str, Any], acting: Acting, today: date) -> None:  # noqa: ARG001 - as all actions
    if row["status"] != "applied":
        undo_button(row, _actor(acting), label=_UNDO_LABEL[row["state"]])
    if row["state"] == SNOOZED:
        _reject(row, acting)


def _edit(row: Mapping[str, Any], acting: Acting, choices: Sequence[OrderChoice]) -> None:
    key = _field(row, "edit")

    def values() -> Mapping[str, Any] | None:
        if st.session_state[f"{key}-qty"] != wanted:
            return None  # typed and clicked at once: its price was not shown yet
        return {"qty": found.qty, "comment": _text(key)}

    with st.popover("Edit quantity", icon=":material/edit:", key=f"{key}-popover"):
        wanted = st.number_input("Units", min_value=1, value=row["recommended_qty"], step=1, key=f"{key}-qty")
        found = decisions.quote(row, wanted or 1)
        packs = "" if found.order_multiple == 1 else f"packs of {format_units(found.order_multiple)}, "
        limits = f"{packs}at least {format_units(found.smallest_qty)}"
        if found.max_order_qty is not None:
            limits += f", at most {format_units(found.max_order_qty)}"
        rounded = "" if found.qty == found.wanted_qty else f"{format_units(found.wanted_qty)} rounds to "
        price = "" if found.unit_cost is None else f" at {format_price(found.unit_cost, found.currency_code)}"
        st.markdown(f"{rounded}**{format_units(found.qty)} units**, {format_price(found.amount, found.currency_code)}{price}")
        st.caption(f"{_TAKES.get(row['kind'], 'The supplier takes')} {limits}.")
        if row["kind"] == "purchase":
            show_outcome(row, choices, qty=found.qty)
        st.text_input("Why (optional)", key=f"{key}-comment", max_chars=COMMENT_CHARS)
        _button(
            f"{_EDITED[row['kind']]} {format_units(found.qty)} units", row, "approve", _actor(acting), values, is_primary=True, name="edit"
        )


def _snooze(row: Mapping[str, Any], acting: Acting, today: date) -> None:
    key = _field(row, "snooze")
    with st.popover("Snooze", icon=":material/snooze:", key=f"{key}-popover"), st.form(key, border=False):
        snooze_fields(key, today=today)
        _button("Snooze it", row, "snooze", _actor(acting), lambda: snooze_values(key), is_primary=True, is_in_form=True)


def _reject(row: Mapping[str, Any], acting: Acting) -> None:
    key = _field(row, "reject")
    with st.popover("Reject", icon=":material/block:", key=f"{key}-popover"), st.form(key, border=False):
        reject_fields(key)
        _button("Reject it", row, "reject", _actor(acting), lambda: reject_values(key), is_primary=True, is_in_form=True)


def snooze_fields(key: str, *, today: date) -> None:
    """Until when, and why; `snooze_values` reads them."""
    st.date_input(
        "Until", value=today + timedelta(days=SNOOZE_DAYS), min_value=today + timedelta(days=1), key=f"{key}-until",
        help="The first run from that day on proposes it again.",
    )  # fmt: skip
    st.text_input("Why (optional)", key=f"{key}-comment", max_chars=COMMENT_CHARS)


def snooze_values(key: str) -> dict[str, Any]:
    """What the fields hold at this moment."""
    return {"until": st.session_state[f"{key}-until"], "comment": _text(key)}


def reject_fields(key: str) -> None:
    """Why, by code and in one's own words; `reject_values` reads them."""
    st.selectbox("Why", list(REASONS), index=None, format_func=REASONS.__getitem__, placeholder="Choose a reason", key=f"{key}-reason")
    st.text_input("In your own words", key=f"{key}-comment", max_chars=COMMENT_CHARS)


def reject_values(key: str) -> dict[str, Any]:
    """What the fields hold at this moment."""
    return {"reason_code": st.session_state[f"{key}-reason"], "comment": _text(key)}


def _button(
    label: str, row: Mapping[str, Any], action: DecisionAction, actor: str, values: Callable[[], Mapping[str, Any] | None], *,
    icon: str | None = None, is_primary: bool = False, explained: str | None = None, name: str | None = None, is_in_form: bool = False,
) -> None:  # fmt: skip
    form = form_of(name or action, [row])
    draw = st.form_submit_button if is_in_form else st.button
    draw(
        label, key=form, icon=icon, type=main_button() if is_primary else "secondary", help=explained, on_click=submit,
        args=(form, [row], action, actor, values),
    )  # fmt: skip


def _said(row: Mapping[str, Any], *, today: date) -> str:
    """What it is about, and what that costs where it is an order."""
    if row["kind"] == "purchase":
        return f"{format_units(row['qty'])} units, {format_money(row['cost'], row['currency_code'])}"
    return escape_markdown(asked_words(row, today=today))


def _too(row: Mapping[str, Any], *, today: date) -> str:
    if row["kind"] == "purchase":
        return f"Approve {format_units(row['qty'])} units too, {format_money(row['cost'], row['currency_code'])}"
    return f"Approve too: {_said(row, today=today)}"


def _text(key: str) -> str | None:
    return str(st.session_state[f"{key}-comment"]).strip() or None


def _field(row: Mapping[str, Any], name: str) -> str:
    return f"{name}-{row['rec_id']}-{row['version']}"


def _actor(acting: Acting) -> str:
    return "" if acting.operator is None else acting.operator.actor


def _basis_words(basis: Mapping[str, Any], key: str) -> str:
    value = basis[key]
    if key == "expected_date":
        return value or UNKNOWN
    return format_price(None if value is None else Decimal(value), basis["currency_code"]) if key == "unit_cost" else format_units(value)


_ACTIONS: Final[dict[str, Callable[[Mapping[str, Any], Acting, date], None]]] = {
    TO_DECIDE: _open, SECOND_PERSON: _second, STALE: _nothing, SNOOZED: _decided, APPROVED: _decided, REJECTED: _decided,
}  # fmt: skip
