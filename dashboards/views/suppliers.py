"""Do suppliers keep their word, and when does the money come?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.cash_panel import cash_panel
from dashboards.components.frame import show_page
from dashboards.components.supplier_card import supplier_card
from dashboards.components.supplier_panel import SUPPLIER_KEY, supplier_panel
from dashboards.queries.names import member_names

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

SUPPLIERS: Final = "Suppliers"
CASH: Final = "Cash"


def page(served: Served, filters: Filters) -> None:
    """The page's content: suppliers, or one of them, or the way from order to cash; only what is chosen is measured."""
    about = st.segmented_control(
        "About", (SUPPLIERS, CASH), default=SUPPLIERS, required=True, bind="query-params", key="about", label_visibility="collapsed"
    )
    if about == CASH:
        cash_panel(served, filters)
        return
    names = member_names(served, "supplier")
    chosen = st.selectbox(
        "Supplier", sorted(names, key=names.__getitem__), index=None, format_func=lambda one: names.get(one, one),
        placeholder="All suppliers", bind="query-params", key=SUPPLIER_KEY,
    )  # fmt: skip
    if chosen is None:
        of_suppliers = filters.only(("days", "location"))
        if of_suppliers != filters:
            st.caption("What suppliers deliver has no channel and no order currency: figures here are of all of them.")
        supplier_panel(served, of_suppliers)
    else:
        supplier_card(served, filters, chosen, names.get(chosen, chosen))


show_page("suppliers", page)
