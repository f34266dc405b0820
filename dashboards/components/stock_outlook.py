"""One item's stock ahead in a sentence, a chart and its table: when it is used up without the order, and when sales are missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from dashboards.components.charts import chart_block
from dashboards.components.formats import escape_markdown, format_date
from dashboards.components.stock_chart import stock_chart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.queries.reorder import StockOutlook

_CAPTION: Final = (
    "Past days show stock on hand, days ahead what is free to sell; bands hold 8 of 10 simulated courses (p10 to p90). Triangles mark what "
    "arrives and when: green is under way, overdue units on the first day ahead, blue is this order. Used up: less than one unit is left. "
    "Missed: a unit is asked for and none is there; how long stock lasts is counted until then, so a slow item lasts past the day of its "
    "last unit."
)
_LABELS: Final = {
    "stock_date": st.column_config.DateColumn("Day", format="ddd D MMM"), "is_with_order": "With the order",
    "stock_p10_qty": "p10 (units)", "stock_p50_qty": "Median (units)", "stock_p90_qty": "p90 (units)",
}  # fmt: skip
_DEFINITIONS: Final = {
    "is_with_order": "Whether the suggested order is counted in; deliveries under way are in both courses.",
    "stock_p10_qty": "Units free to sell at the end of the day; one simulated course in ten holds less.",
    "stock_p50_qty": "Half of the simulated courses hold more.",
    "stock_p90_qty": "One simulated course in ten holds more.",
}


def show_outlook(outlook: StockOutlook, *, item: Mapping[str, str], today: date, place: str = "") -> None:
    """The stock chart under a title that says when stock ends, and its table twin.

    Args:
        outlook: The item's.
        item: Its sku and location_id, for the export.
        today: For the year of dates.
        place: The location's name, where the page does not say it already.
    """
    said = outlook_words(outlook, today=today)
    chart_block(
        stock_chart(outlook), title=escape_markdown(f"{place}: {said}" if place else said), caption=_CAPTION, frame=outlook.days,
        alt_text="Stock of the item: past, and ahead with and without the order", name="item-outlook", as_of=outlook.as_of_date,
        labels=_LABELS, filters=item, definitions=_DEFINITIONS,
    )  # fmt: skip
    if outlook.history.is_empty():
        st.caption("Stock history: not available, needs stock_movements.")


def outlook_words(outlook: StockOutlook, *, today: date) -> str:
    """When stock is used up without the order and until when, and when the first sale is missed where that is another day."""
    used_up, refilled = outlook.runs_out_date, outlook.refilled_date
    missed = f"the first sale is missed after {format_date(outlook.lasts_until_date, today=today)}"
    if used_up is None:
        if outlook.misses_at_another_time:
            return f"Without the order, {missed} in the median, though units are left at the end of each day"
        return "Stock lasts through the days ahead in the median; the order guards against more"
    until = f", until the delivery of {format_date(refilled, today=today)}" if refilled else ""
    if used_up <= outlook.as_of_date:
        return f"Nothing is free now{until}"
    said = f"Without the order, stock is used up on {format_date(used_up, today=today)} in the median{until}"
    return f"{said}; {missed}" if outlook.misses_at_another_time else said
