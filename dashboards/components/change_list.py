"""Draft changes of purchase orders and proposed reservations that wait for a person to carry them out in the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import format_count

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.suggestions import Suggestions

OVERDUE: Final = "Not carried out in time"
_DEFINITIONS: Final = {
    "change_id": "The draft change.",
    "kind": "expedite: earlier; defer: later; cancel_po: called off.",
    "po_id": "The purchase order, as the shop has it.",
    "supplier_id": "Its supplier.",
    "supplier": "The supplier's name.",
    "sku": "The item.",
    "title": "Its name.",
    "location_id": "Where the units go, or are kept for the order line.",
    "location": "Its name.",
    "qty": "Units that are changed, or kept.",
    "from_date": "When they are expected as the order stands.",
    "to_date": "When they are wanted instead.",
    "order_id": "The customer's order.",
    "order_line_id": "Its line.",
    "is_released": "Not carried out in time, so it is counted no more.",
}
_DRAFTED: Final = "Drafted"
_CHANGES: Final = {"expedite": "Earlier", "defer": "Later", "cancel_po": "Cancel"}


def draft_changes(found: Suggestions, *, as_of: date) -> None:
    """Both lists with their exports; nothing where there is neither."""
    if found.changes.height:
        _head("Draft changes of orders", found.changes, "draft change", name="draft-changes", as_of=as_of)
        shown = found.changes.with_columns(_state(), change=pl.col("kind").replace_strict(_CHANGES, default=pl.col("kind")))
        st.dataframe(
            shown.select("po_id", "change", "qty", "from_date", "to_date", "sku", "location", "supplier", "state", "change_id"),
            column_config=_columns(), hide_index=True, placeholder="-", alt="Draft changes of purchase orders, oldest first",
        )  # fmt: skip
        st.caption(
            "The order itself is yours to change, with the supplier and in the shop; once it shows the new day or number, it is done."
        )
    if found.reservations.height:
        _head("Proposed reservations", found.reservations, "order line", name="proposed-reservations", as_of=as_of)
        st.dataframe(
            found.reservations.with_columns(_state()).select("sku", "title", "location", "order_id", "order_line_id", "qty", "state"),
            column_config=_columns(), hide_index=True, placeholder="-", alt="Proposed reservations by item and order line",
        )  # fmt: skip
        st.caption("Reserve them in the shop, or send the orders so; what was sent leaves this list.")


def _head(title: str, rows: pl.DataFrame, noun: str, *, name: str, as_of: date) -> None:
    st.subheader(title, anchor=False)
    overdue = rows["is_released"].sum()
    late = f" · {overdue:,} {OVERDUE.lower()}, counted no more" if overdue else ""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{format_count(rows.height, noun)}**, {format_count(int(rows['qty'].sum()), 'unit')}{late}", width="content")
        definitions = {column: _DEFINITIONS[column] for column in rows.columns}
        export_button(rows, name=name, as_of=as_of, filters={}, definitions=definitions)


def _state() -> pl.Expr:
    return pl.when("is_released").then(pl.lit(OVERDUE)).otherwise(pl.lit(_DRAFTED)).alias("state")


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "po_id": column.TextColumn("Order", width=95), "change": column.TextColumn("Change", width=75),
        "qty": column.NumberColumn("Units", format="%,d", width=65),
        "from_date": column.DateColumn("Expected", format="ddd D MMM", width=80),
        "to_date": column.DateColumn("Wanted", format="ddd D MMM", width=80), "sku": column.TextColumn("Item", width=90),
        "title": column.TextColumn("Title", width=150), "location": column.TextColumn("Location", width=85),
        "supplier": column.TextColumn("Supplier", width=90), "state": column.TextColumn("State", width=110),
        "change_id": column.TextColumn("Draft change", width=165), "order_id": column.TextColumn("Customer order", width=130),
        "order_line_id": column.TextColumn("Order line", width=130),
    }  # fmt: skip
