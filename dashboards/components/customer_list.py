"""A list of customers, each by their key; choosing one leads to everything that happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.customer_words import CUSTOMER_WORDS, OF_PERIOD
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from dashboards.queries.releases import Served

ONE_CUSTOMER: Final = "One customer"
PART: Final = "show"  # which part of the page is shown, in the address too
_LABELS: Final[dict[str, Any]] = {
    "customer_key": st.column_config.TextColumn("Customer (key)", width=110),
    "order_count": "Orders", "alive_rate": "P(alive) now (%)", "alive_before_rate": "28 days before (%)",
    "value_rank": "Rank", "direction": "Direction", "net_sales_share_rate": "Of all net sales (%)", "segment": "Segment",
}  # fmt: skip
_MONEY: Final = {
    "expected_before_reporting_amount": "Was expected to bring", "predicted_reporting_amount": "Expected in 364 days",
    "net_reporting_amount": "Net sales", "prior_net_reporting_amount": "Period before", "change_reporting_amount": "Change",
}  # fmt: skip


def customer_list(
    frame: pl.DataFrame, served: Served, *, name: str, alt: str, columns: Sequence[str], chosen_by: Mapping[str, str], lasting: bool = True
) -> None:
    """The customers as a table with its export; a chosen row shows the way to the customer's timeline.

    Args:
        frame: Rows with customer_key.
        served: What is shown.
        name: What the export is called.
        alt: What the table shows.
        columns: The columns shown, in this order.
        chosen_by: What the export says of how its rows were chosen.
        lasting: Whether net sales are those of all time, and not of a period.
    """
    currency = served.context.currency_code
    money = {
        column: f"{label}{' so far' if lasting and column == 'net_reporting_amount' else ''} ({currency})"
        for column, label in _MONEY.items()
    }
    chosen = data_table(
        frame, name=name, as_of=served.context.as_of_date, alt=alt, columns=columns, labels=_LABELS | money, filters=chosen_by,
        definitions=CUSTOMER_WORDS | ({} if lasting else OF_PERIOD),
        selects="single-row",
    )  # fmt: skip
    for row in chosen:
        part_button(f"Open the timeline of customer {row['customer_key'][:8]}", ONE_CUSTOMER, customer=row["customer_key"])


def part_button(label: str, part: str, *, customer: str | None = None) -> None:
    """A button that shows another part of the page, or one customer: a link to the own page would not reach the address."""
    st.button(label, key=f"to-{part}-{customer}", type="tertiary", icon=":material/arrow_forward:", on_click=_open, args=(part, customer))


def _open(part: str, customer: str | None) -> None:
    st.session_state[PART] = part
    if customer is not None:
        st.query_params["customer"] = customer
