"""What a suggestion that orders nothing is about: a transfer's two ends, an order line and its days, or who gets how much."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.formats import UNKNOWN, escape_markdown, format_date, format_units
from pipelines.decisions.wording import basis_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_METHODS: Final = {"fair_share": "in proportion to what each wants", "marginal_value": "to where a unit is worth most"}


def show_kind(suggestion: Mapping[str, Any], *, today: date) -> None:
    """The facts behind it, as they were when it was proposed; nothing for a purchase, whose reckoning says them."""
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


def _allocation(suggestion: Mapping[str, Any], today: date) -> None:  # noqa: ARG001 - as all kinds
    basis = basis_of(suggestion)
    lines = basis.get("lines")
    st.markdown("**Who gets how much**")
    st.dataframe(
        pl.DataFrame(
            [{name: line.get(name) for name in _LINE} for line in lines] if isinstance(lines, list) else [], schema=_LINE, orient="row"
        ),
        column_config={
            "order_id": "Customer order", "order_line_id": "Order line",
            "wanted_qty": st.column_config.NumberColumn("Wants", format="%,d"), "qty": st.column_config.NumberColumn("Gets", format="%,d"),
            "floor_qty": st.column_config.NumberColumn("At least", format="%,d"), "priority": st.column_config.NumberColumn("Priority"),
        },
        hide_index=True, placeholder=UNKNOWN, alt="What each order line wants and gets",
    )  # fmt: skip
    how = _METHODS.get(str(basis.get("method")), "")
    free = basis.get("free_qty")
    there = "1 unit is" if free == 1 else f"{format_units(free)} units are"
    st.caption(f"{there} there to give" + (f", given {how}." if how else "."))


_LINE: Final[dict[str, Any]] = {
    "order_id": pl.String, "order_line_id": pl.String, "wanted_qty": pl.Int64, "qty": pl.Int64, "floor_qty": pl.Int64, "priority": pl.Int64,
}  # fmt: skip
_SHOW: Final[dict[str, Callable[[Mapping[str, Any], date], None]]] = {
    "expedite": _change, "defer": _change, "cancel_po": _change, "transfer": _transfer, "allocate": _allocation,
}  # fmt: skip


def _table(title: str, facts: Mapping[str, str | None]) -> None:
    st.markdown(f"**{title}**")
    rows = [{"": name, "As proposed": escape_markdown(value or UNKNOWN)} for name, value in facts.items()]
    st.table(rows, border="horizontal", hide_index=True, width="content")


def _day(value: str | None, today: date) -> str:
    return format_date(None if value is None else date.fromisoformat(value), today=today)
