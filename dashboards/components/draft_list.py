"""Draft orders that wait for a person to submit them in the shop, and what each of them still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.exports import export_button
from dashboards.components.formats import format_count, format_money

if TYPE_CHECKING:
    from datetime import date

    from dashboards.suggestions import Suggestions

RELEASED: Final = "Not submitted in time"
_STATES: Final = {"source": "In the shop", "outbox": "In the outbox"}


def draft_orders(found: Suggestions, *, as_of: date) -> None:
    """All drafts, one per supplier (or lane), location and day of need, with their lines and an export."""
    st.subheader("Draft orders", anchor="draft-orders")
    if found.drafts.is_empty():
        st.caption("No draft order is open. What you accept stands here at once, one draft per supplier, location and day of need.")
        return
    cost = " + ".join(format_money(amount, currency) for currency, amount in found.drafts_by_currency.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{format_count(found.drafts.height, 'draft order')}** · {cost or '-'}", width="content")
        export_button(found.draft_lines, name="draft-order-lines", as_of=as_of)
    released = found.drafts.filter(pl.col("is_released")).height
    if released:
        st.warning(
            f"**{format_count(released, 'draft')} not submitted in time**: what is on it does not count as on its way any more. "
            "Submit it in the shop, or undo the approval under *Approved*.",
            icon=":material/schedule:",
        )
    show_drafts(found.drafts)
    st.caption(
        "To submit a draft, open the order of this number in the shop, check it and take it out of draft there; the next run sees it. "
        "Nothing is submitted from here."
    )
    with st.expander("The lines of the drafts", icon=":material/list:"):
        st.dataframe(
            found.draft_lines.select("draft_id", "sku", "title", "qty", "unit_cost", "amount", "expected_date").with_columns(
                pl.col("unit_cost", "amount").cast(pl.Float64)
            ),
            column_config={
                "draft_id": "Draft", "sku": "Item", "title": "Title", "qty": st.column_config.NumberColumn("Units", format="%,d"),
                "unit_cost": st.column_config.NumberColumn("Unit price", format="%,.2f"),
                "amount": st.column_config.NumberColumn("Amount", format="%,.2f"),
                "expected_date": st.column_config.DateColumn("Expected", format="ddd D MMM"),
            },
            hide_index=True, placeholder="-", alt="Lines of the draft orders",
        )  # fmt: skip


def show_drafts(drafts: pl.DataFrame) -> None:
    """The drafts as a table: those that exist, or those that a preview predicts."""
    currency = "/".join(drafts["currency_code"].drop_nulls().unique().sort())
    is_known = "age_days" in drafts.columns
    money = pl.col("amount", "minimum_amount", "missing_amount").cast(pl.Float64)
    shown = drafts.with_columns(money).with_columns(
        minimum=pl.when(pl.col("minimum_amount").is_null()).then(pl.lit("No minimum known"))
        .when(pl.col("missing_amount") > 0).then(pl.lit("Below the minimum")).otherwise(pl.lit("Minimum reached")),
    )  # fmt: skip
    if is_known:
        shown = shown.with_columns(
            state=pl.when("is_released").then(pl.lit(RELEASED)).otherwise(pl.col("target").replace_strict(_STATES, default="-"))
        )
    least = [] if shown["minimum_amount"].is_null().all() else ["minimum_amount", "missing_amount"]
    states = ["state", "age_days"] if is_known else []
    st.dataframe(
        shown.select("supplier", "location", "need_by", "amount", *least, "minimum", *states, "draft_id", "lines_count", "qty"),
        column_config=_columns(currency), hide_index=True, placeholder="-", alt="Draft orders per supplier, location and day of need",
    )  # fmt: skip


def _columns(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "supplier": column.TextColumn("Supplier", width=110), "location": column.TextColumn("Location", width=110),
        "need_by": column.DateColumn("Needed", format="ddd D MMM", width=85),
        "amount": column.NumberColumn(f"Amount ({currency})", format="%,.2f", width=100),
        "minimum_amount": column.NumberColumn(f"Minimum ({currency})", format="%,.2f", width=110, help="The least the supplier accepts."),
        "missing_amount": column.NumberColumn(f"Missing ({currency})", format="%,.2f", width=105, help="Up to the minimum."),
        "minimum": column.TextColumn("Supplier minimum", width=130),
        "lines_count": column.NumberColumn("Lines", format="%,d", width=60), "qty": column.NumberColumn("Units", format="%,d", width=65),
        "age_days": column.NumberColumn("Age (days)", format="%,d", width=80, help="Since its oldest line, by the shop's clock."),
        "state": column.TextColumn("State", width=140, help="A draft in the shop, or waiting to be handed over."),
        "draft_id": column.TextColumn("Draft", width=150),
    }  # fmt: skip
