"""What is to be ordered per supplier, with its minimum and the budget; choosing a supplier narrows the list to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.deciding import open_only
from dashboards.components.exports import export_button
from dashboards.components.formats import format_count, format_money
from dashboards.components.worklist import DUE_HELP, SURE_HELP
from dashboards.queries.worklist import SURE

if TYPE_CHECKING:
    from datetime import date

    from dashboards.decisions import Acting
    from dashboards.queries.worklist import Budget

_HEAD_PIXELS: Final = 37
_ROW_PIXELS: Final = 35
_ROWS_SHOWN: Final = 6
SUPPLIER_KEY: Final = "supplier"  # of the filter, which stands in the address
_DEFINITIONS: Final = {
    "supplier_id": "Who is ordered from.",
    "supplier": "Its name.",
    "currency_code": "Of all amounts in the row.",
    "orders_count": "Orders to decide about, before the list's filters.",
    "soon_count": "Those of them that are overdue or due today.",
    "sure_count": f"Those of them that are sure. {SURE_HELP}",
    "cost": "What they come to at the supplier's prices.",
    "at_risk": "Mean of what waiting for the next review loses that they would save.",
    "drafted_amount": "Accepted and not submitted yet.",
    "minimum_amount": "The least that one order may be.",
    "missing_amount": "What lacks up to the minimum, summed over the locations that stay below it with what is listed and on draft.",
    "below_count": "How many locations stay below it; an order goes to one place.",
}


def show_budget(found: Budget, *, cost: float) -> None:
    """What a round may spend, what is asked for and what stands drafted; and what the budget cut."""
    cut = []
    if found.cut_count:
        cut.append(f"{format_count(found.cut_count, 'order')} made smaller")
    if found.left_out_count:
        cut.append(f"{format_count(found.left_out_count, 'item')} left out")
    said = f" For a budget the run left {' and '.join(cut)}; their steps say which." if cut else ""
    if found.left_amount is None:
        st.caption(f":material/account_balance_wallet: No budget is set (`ORDERCAST_BUDGET_AMOUNT`).{said}")
        return
    left, code = found.left_amount, found.currency_code
    gap = f", {format_money(cost - left, code)} more than is left" if cost > left else ""
    st.markdown(
        f":material/account_balance_wallet: Budget {format_money(found.amount, code)}, "
        f"{format_money(found.drafted_amount, code)} on draft: "
        f"**{format_money(left, code)} left** · asked for below {format_money(cost, code)}{gap}.{said}"
    )


def groups_words(groups: pl.DataFrame) -> str:
    """What the groups come to: how many, how many orders are sure, how many suppliers' minima are missed."""
    said = f"By supplier: {groups.height:,} suppliers, {groups['sure_count'].sum():,} of {groups['orders_count'].sum():,} orders are sure"
    below = groups.filter(pl.col("below_count") > 0).height
    return f"{said}, below the minimum of {below:,}" if below else said


def supplier_groups(groups: pl.DataFrame, *, as_of: date) -> None:
    """A row per supplier; the rows that are chosen become the list's supplier filter."""
    names = groups["supplier"].to_list()
    held = [place for place, name in enumerate(names) if name in (st.session_state.get(SUPPLIER_KEY) or [])]
    key = f"supplier-groups-{'-'.join(map(str, held))}-{len(names)}"
    st.session_state.setdefault(key, {"selection": {"rows": held, "columns": [], "cells": []}})

    def narrow() -> None:
        places = st.session_state[key]["selection"]["rows"]
        st.session_state[SUPPLIER_KEY] = [names[place] for place in places if place < len(names)]

    currency = "/".join(groups["currency_code"].drop_nulls().unique().sort())
    has_minimum = groups["minimum_amount"].is_not_null().any()
    minimum = ["minimum_amount", "minimum"] if has_minimum else []
    drafted = ["drafted_amount"] if groups["drafted_amount"].sum() else []
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("Choose suppliers to list theirs only.", width="content")
        export_button(groups, name="orders-by-supplier", as_of=as_of, filters={}, definitions=_DEFINITIONS)
    st.dataframe(
        groups.with_columns(pl.Series("minimum", [_minimum_words(row) for row in groups.iter_rows(named=True)], dtype=pl.String)).select(
            "supplier", "orders_count", "soon_count", "sure_count", "cost", "at_risk", *drafted, *minimum
        ),
        column_config=_columns(currency), hide_index=True, height=_ROW_PIXELS * min(groups.height, _ROWS_SHOWN) + _HEAD_PIXELS,
        on_select=narrow, selection_mode="multi-row", key=key, placeholder="-",
        alt="Orders to decide about per supplier, most at risk first; choose suppliers to list theirs only",
    )  # fmt: skip
    if not has_minimum:
        st.caption("No supplier's order minimum is known: needs suppliers.order_minimum_amount.")


def approve_sure_button(listed: pl.DataFrame, who: Acting) -> None:
    """Chooses all that are sure of what is listed, so that one preview and one click approve them."""
    sure = [row["recommendation_key"] for row in listed.filter(sure=SURE).iter_rows(named=True) if who.may_decide(row)]
    if not sure:
        return
    st.button(
        f"Approve the {len(sure):,} that are sure", icon=":material/verified:", on_click=open_only, args=(sure,), key="approve-sure",
        help=f"Chooses them below, where a preview shows the draft orders first. {SURE_HELP}",
    )  # fmt: skip


def _minimum_words(row: dict[str, Any]) -> str | None:
    if row["minimum_amount"] is None:
        return None
    if not row["below_count"]:
        return "Reached"
    at = f" at {format_count(row['below_count'], 'location')}" if row["below_count"] > 1 else ""
    return f"{format_money(row['missing_amount'], row['currency_code'])} missing{at}"


def _columns(currency: str) -> dict[str, Any]:
    column = st.column_config
    return {
        "supplier": column.TextColumn("Supplier", width=140),
        "orders_count": column.NumberColumn("Orders", format="%,d", width=70),
        "soon_count": column.NumberColumn("Overdue or today", format="%,d", width=120, help=DUE_HELP),
        "sure_count": column.NumberColumn("Sure", format="%,d", width=60, help=SURE_HELP),
        "cost": column.NumberColumn(f"Cost ({currency})", format="%,.0f", width=95),
        "at_risk": column.NumberColumn(f"At risk ({currency})", format="%,.0f", width=100),
        "drafted_amount": column.NumberColumn(f"On draft ({currency})", format="%,.0f", width=110, help=_DEFINITIONS["drafted_amount"]),
        "minimum_amount": column.NumberColumn(f"Minimum ({currency})", format="%,.0f", width=110, help=_DEFINITIONS["minimum_amount"]),
        "minimum": column.TextColumn(
            "Minimum reached?", width=190, help="What is listed and on draft, per location, as an order goes to one place."
        ),
    }
