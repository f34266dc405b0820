"""Where stock stands: by location, and by location and category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.charts import draw
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import format_amount, format_money, format_percent, format_units
from dashboards.components.heat_table import heat_table
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.stock import Measure

MEASURES: Final[dict[Measure, tuple[str, str]]] = {
    "stock_value": ("Stock value", "money"),
    "units": ("Units", "count"),
    "days_of_supply": ("Days of supply", "days"),
    "in_stock_rate": ("In-stock rate", "percent"),
}
_COLUMNS: Final = (
    "location", "stock_value_reporting_amount", "owned_qty", "available_qty", "held_qty", "in_transit_qty", "on_order_qty",
    "on_order_value_reporting_amount",
)  # fmt: skip
_DEFINITIONS: Final = {
    "owned_qty": "All units that stand here or are on their way here between own locations.",
    "in_transit_qty": "Units on their way here between own locations.",
    "on_order_qty": "Open purchase orders; not owned yet.",
    "stock_value_reporting_amount": "Owned units at unit cost.",
}


def network_table(served: Served, frame: pl.DataFrame, filters: Filters) -> None:
    """What stands where, in units and money."""
    st.markdown(f"**{network_title(frame, served.context.currency_code)}**")
    if frame.is_empty():
        st.caption("No stock is known of what is chosen here.")
        return
    code = served.context.currency_code
    labels = {
        "stock_value_reporting_amount": f"Stock value ({code})", "owned_qty": "Owned (units)", "held_qty": "Held (units)",
        "on_order_value_reporting_amount": f"On order ({code})",
    }  # fmt: skip
    data_table(
        frame, name="stock-network", as_of=served.context.as_of_date, alt="Stock by location", columns=_COLUMNS,
        labels=labels, filters=filters.as_export(), definitions=COLUMN_WORDS | _DEFINITIONS,
    )  # fmt: skip
    if unvalued := int(frame["unvalued_count"].sum()):
        st.caption(f"{format_units(unvalued)} items at locations have no unit cost or exchange rate: counted in units, not in money.")


def across_chart(served: Served, frame: pl.DataFrame, measure: Measure, filters: Filters) -> None:
    """A measure by location and category, and the same as a table."""
    label, unit = MEASURES[measure]
    code = served.context.currency_code
    if frame["value"].drop_nulls().is_empty():
        st.caption(f":material/block: {label}: nothing was counted.")
        return
    st.markdown(f"**{across_title(frame, measure, code)}**")
    chart = heat_table(
        frame, row="category", column="location", value="value", unit=unit, currency=code, rows=frame["category"].unique().sort().to_list(),
        columns=frame["location"].unique().sort().to_list(), is_low_marked=measure == "in_stock_rate",
    )  # fmt: skip
    draw(chart, alt_text=f"{label} by category and location", key=f"across-{measure}")
    st.caption(
        f"{label} over {filters.days} days."
        if measure in {"days_of_supply", "in_stock_rate"}
        else f"{label}{f' in {code}' if unit == 'money' else ''} as of the last day; owned stock."
    )
    with st.expander("The chart as a table", icon=":material/table:"):
        wide = frame.pivot("location", index="category", values="value").sort("category")
        data_table(
            wide, name=f"{measure}-by-category-and-location", as_of=served.context.as_of_date, alt=f"{label} by category and location",
            labels={"category": "Category"}, filters=filters.as_export(),
            definitions=dict.fromkeys(wide.columns[1:], f"{label} at this location{f' in {code}' if unit == 'money' else ''}."),
        )  # fmt: skip


def network_title(frame: pl.DataFrame, currency: str) -> str:
    """How much stands in all, where most of it is, and what is on its way."""
    if frame.is_empty():
        return "No stock"
    total = float(frame["stock_value_reporting_amount"].drop_nulls().sum())
    top = frame.row(0, named=True)
    on_order = float(frame["on_order_value_reporting_amount"].drop_nulls().sum())
    said = f"{format_money(total, currency)} stand at {frame.height:,} location{'' if frame.height == 1 else 's'}"
    if frame.height > 1 and total and top["stock_value_reporting_amount"] is not None:
        said += f", {format_percent(float(top['stock_value_reporting_amount']) / total)} of it at {top['location']}"
    return f"{said}; {format_money(on_order, currency)} more on order"


def across_title(frame: pl.DataFrame, measure: Measure, currency: str) -> str:
    """Where the measure is most, or for the in-stock rate, least."""
    label, unit = MEASURES[measure]
    known = frame.drop_nulls("value").sort("value", descending=measure != "in_stock_rate")
    top = known.row(0, named=True)
    how = "lowest" if measure == "in_stock_rate" else "highest"
    return f"{label} is {how} for {top['category']} at {top['location']}: {format_amount(top['value'], unit, currency)}"
