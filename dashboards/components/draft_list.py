"""Draft orders and transfers that wait for a person to submit them in the shop, and what each of them still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import format_count, format_money
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from datetime import date

    from dashboards.queries.suggestions import Suggestions

RELEASED: Final = "Not submitted in time"
_DRAFT_DEFINITIONS: Final = {
    "draft_id": "The draft; one per supplier or lane, location and day of need.",
    "kind": "purchase: an order from a supplier; transfer: a move between locations.",
    "target": "source: it stands as a draft in the shop; outbox: it waits to be handed over.",
    "supplier_id": "Who is ordered from; blank for a transfer.",
    "supplier": "Its name.",
    "source_location_id": "Where a transfer comes from; blank for an order.",
    "source": "Its name.",
    "location_id": "Where the units go.",
    "location": "Its name.",
    "need_by": "The day by which the units are needed.",
    "currency_code": "Of all amounts in the row.",
    "lines_count": "Items on it.",
    "qty": "Units on it.",
    "amount": "At the prices that were approved; blank where one is not known.",
    "minimum_amount": "The least the supplier accepts.",
    "missing_amount": "Up to the minimum; 0: reached.",
    "age_days": "Since its oldest line, by the shop's clock.",
    "is_released": "Not submitted in time, so it does not count as on its way any more.",
}
_LINE_DEFINITIONS: Final = {
    "draft_id": "The draft that the line stands on.",
    "rec_id": "The suggestion that was approved, in the operational store.",
    "line_id": "The line, in the operational store.",
    "sku": "The item.",
    "title": "Its name.",
    "qty": "Units.",
    "unit_cost": "The price of a unit that was approved, in the draft's currency.",
    "amount": "Units at that price.",
    "expected_date": "When it is expected to arrive.",
    "drafted_at": "When it was approved, UTC.",
    "is_released": "Not submitted in time, so it does not count as on its way any more.",
}
_STATES: Final = {"source": "In the shop", "outbox": "In the outbox"}


def draft_orders(found: Suggestions, *, as_of: date) -> None:
    """All drafts, orders per supplier and transfers per lane, each per location and day of need, with their lines and an export."""
    if found.drafts.is_empty():
        st.info(
            "No draft order or transfer is open. What you accept stands here at once: an order per supplier, location and day of need, a "
            "transfer per lane.", icon=":material/inbox:",
        )  # fmt: skip
        return
    orders, transfers = (found.drafts.filter(pl.col("kind") == kind) for kind in ("purchase", "transfer"))
    cost = " + ".join(format_money(amount, currency) for currency, amount in found.drafts_by_currency.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{draft_words(found)}**{f' · {cost}' if orders.height else ''}", width="content")
        export_button(found.drafts, name="drafts", as_of=as_of, filters={}, definitions=_DRAFT_DEFINITIONS)
    released = found.drafts.filter(pl.col("is_released")).height
    if released:
        st.warning(
            f"**{format_count(released, 'draft')} not submitted in time**: what is on it does not count as on its way any more. "
            "Submit it in the shop, or undo the approval under *Approved*.",
            icon=":material/schedule:",
        )
    if orders.height:
        show_drafts(orders)
    if transfers.height:
        show_drafts(transfers)
    st.caption(
        "To submit a draft, open the order of this number in the shop, check it and take it out of draft there; the next run sees it. "
        "Nothing is submitted from here."
    )
    with st.expander("The lines of the drafts", icon=":material/list:"):
        data_table(
            found.draft_lines, name="draft-order-lines", as_of=as_of, alt="Lines of the draft orders and transfers",
            columns=("draft_id", "sku", "title", "qty", "unit_cost", "amount", "expected_date"), filters={},
            definitions=_LINE_DEFINITIONS,
            labels={
                "draft_id": "Draft", "title": "Title", "qty": "Units",
                "unit_cost": st.column_config.NumberColumn("Unit price", format="%,.2f"),
                "amount": st.column_config.NumberColumn("Amount", format="%,.2f"), "expected_date": "Expected",
            },
        )  # fmt: skip


def draft_words(found: Suggestions) -> str:
    """As in "3 draft orders and 1 draft transfer"; "" where there is none."""
    counts = dict(found.drafts.group_by("kind").len().iter_rows()) if found.standing is not None else {}
    named = (("purchase", "draft order"), ("transfer", "draft transfer"))
    return " and ".join(format_count(counts[kind], noun) for kind, noun in named if counts.get(kind))


def show_drafts(drafts: pl.DataFrame) -> None:
    """The drafts of one kind as a table: those that exist, or those that a preview predicts."""
    is_order = drafts["supplier"].is_not_null().any()
    currency = "/".join(drafts["currency_code"].drop_nulls().unique().sort())
    is_known = "age_days" in drafts.columns
    money = pl.col("amount", "minimum_amount", "missing_amount").cast(pl.Float64)
    shown = drafts.with_columns(money)
    if is_known:
        shown = shown.with_columns(
            state=pl.when("is_released").then(pl.lit(RELEASED)).otherwise(pl.col("target").replace_strict(_STATES, default="-"))
        )
    least = [] if not is_order or shown["minimum_amount"].is_null().all() else ["minimum_amount", "missing_amount"]
    ends = ["supplier", "location"] if is_order else ["source", "location"]
    columns = [*ends, "need_by", *(["amount"] if is_order else []), *least, "lines_count", "qty"]
    st.dataframe(
        shown.select(*columns, *(["state", "age_days"] if is_known else []), "draft_id"),
        column_config=_columns(currency, is_order=is_order), hide_index=True, placeholder="-",
        alt="Draft orders per supplier, location and day of need" if is_order else "Draft transfers per lane and day of need",
    )  # fmt: skip


def _columns(currency: str, *, is_order: bool) -> dict[str, Any]:
    column = st.column_config
    return {
        "supplier": column.TextColumn("Supplier", width=95), "source": column.TextColumn("From", width=95),
        "location": column.TextColumn("To" if not is_order else "Location", width=85),
        "need_by": column.DateColumn("Needed", format="ddd D MMM", width=80),
        "amount": column.NumberColumn(f"Amount ({currency})", format="%,.2f", width=90),
        "minimum_amount": column.NumberColumn(f"Minimum ({currency})", format="%,.2f", width=98, help=_DRAFT_DEFINITIONS["minimum_amount"]),
        "missing_amount": column.NumberColumn(f"Missing ({currency})", format="%,.2f", width=90, help=_DRAFT_DEFINITIONS["missing_amount"]),
        "lines_count": column.NumberColumn("Lines", format="%,d", width=50), "qty": column.NumberColumn("Units", format="%,d", width=55),
        "age_days": column.NumberColumn("Days old", format="%,d", width=70, help=_DRAFT_DEFINITIONS["age_days"]),
        "state": column.TextColumn("State", width=95, help="A draft in the shop, or waiting to be handed over."),
        "draft_id": column.TextColumn("Draft", width=150),
    }  # fmt: skip
