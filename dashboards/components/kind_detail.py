"""What a suggestion that orders nothing is about: a transfer's two ends, or an order line and its days."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.formats import UNKNOWN, escape_markdown, format_date, format_units
from pipelines.decisions.wording import basis_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def show_kind(suggestion: Mapping[str, Any], *, today: date) -> None:
    """The facts behind it, as they were when it was proposed; nothing for what has a part of its own."""
    if suggestion["kind"] in _SHOW:
        _SHOW[suggestion["kind"]](suggestion, today)


def _change(suggestion: Mapping[str, Any], today: date) -> None:
    basis = basis_of(suggestion)
    facts = {
        "Order": basis.get("po_id"), "Supplier": suggestion["supplier"], "Open units": format_units(basis.get("open_qty")),
        "Expected": _day(basis.get("expected_date"), today), "Wanted": _day(basis.get("wanted_date"), today),
    }  # fmt: skip
    if suggestion["kind"] == "cancel_po":
        facts = {name: value for name, value in facts.items() if name != "Wanted"} | {"To cancel": format_units(suggestion["qty"])}
    _table("The order line", facts)


def _transfer(suggestion: Mapping[str, Any], today: date) -> None:
    facts = {
        "From": suggestion["source"], "To": suggestion["location"], "Units": format_units(suggestion["qty"]),
        "There by": format_date(suggestion["expected_receipt"], today=today), "Needed": format_date(suggestion["need_by"], today=today),
    }  # fmt: skip
    _table("The move", facts)


_SHOW: Final[dict[str, Callable[[Mapping[str, Any], date], None]]] = {
    "expedite": _change, "defer": _change, "cancel_po": _change, "transfer": _transfer
}  # fmt: skip


def _table(title: str, facts: Mapping[str, str | None]) -> None:
    st.markdown(f"**{title}**")
    rows = [{"": name, "As proposed": escape_markdown(value or UNKNOWN)} for name, value in facts.items()]
    st.table(rows, border="horizontal", hide_index=True, width="content")


def _day(value: str | None, today: date) -> str:
    return format_date(None if value is None else date.fromisoformat(value), today=today)
