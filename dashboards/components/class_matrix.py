"""Classes of items: what each sells, holds, and how often it is there; a cell leads to its items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl
import streamlit as st

from dashboards.components.charts import draw
from dashboards.components.class_names import CLASS_NAMES
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import format_count, format_money, format_percent
from dashboards.components.heat_table import heat_table
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from dashboards.queries.reports import ReportTable

Shade = Literal["stock_value", "net_sales_rate", "in_stock_rate"]
SHADES: Final[dict[Shade, tuple[str, str]]] = {
    "stock_value": ("Stock value", "money"),
    "net_sales_rate": ("Share of sales", "percent"),
    "in_stock_rate": ("In-stock rate", "percent"),
}
_ABC: Final = ("A", "B", "C", "none", "unknown")
_XYZ: Final = ("X", "Y", "Z", "new", "none", "unknown")
_SELECTION: Final = "cell"
_COLUMNS: Final = (
    "sku", "title", "net_sales_reporting_amount", "stock_value_reporting_amount", "on_hand_qty", "available_qty", "out_count",
    "locations_count",
)  # fmt: skip
_DEFINITIONS: Final = {
    "net_sales_reporting_amount": "Net sales of the last 364 days.",
    "out_count": "Locations where it has a stock record and nothing is free.",
    "locations_count": "Locations where it has a stock record.",
}


def cell_names(rows: pl.DataFrame) -> dict[str, str]:
    """A key and a name for each class pair that has items."""
    pairs = sorted(rows.select("abc_class", "xyz_class").iter_rows(), key=lambda pair: (_ABC.index(pair[0]), _XYZ.index(pair[1])))
    return {f"{abc}-{xyz}": _pair(abc, xyz) for abc, xyz in pairs}


def matrix_chart(served: Served, found: ReportTable, shade: Shade, days: int, *, chooses: Callable[[str, str], None]) -> None:
    """The matrix under its answer; a click on a cell chooses it."""
    code = served.context.currency_code
    label, unit = SHADES[shade]
    rows = found.rows.with_columns(
        stock_value=pl.col("stock_value_reporting_amount").cast(pl.Float64),
        abc=pl.col("abc_class").replace(CLASS_NAMES), xyz=pl.col("xyz_class").replace(CLASS_NAMES),
        items=pl.format("{} items", "skus_count"),
    )  # fmt: skip
    st.markdown(f"**{matrix_title(rows, code)}**", help=found.report.description)
    chart = heat_table(
        rows, row="abc", column="xyz", value=shade, unit=unit, currency=code, rows=_present(rows, "abc_class", _ABC),
        columns=_present(rows, "xyz_class", _XYZ), is_low_marked=shade == "in_stock_rate", second="items", selects=_SELECTION,
    )  # fmt: skip
    key = f"matrix-{shade}"
    draw(chart, alt_text=f"{label} by class of items", key=key, selection=_SELECTION, on_select=lambda: _choose(key, chooses))
    money = f" in {code}" if unit == "money" else ""
    st.caption(
        f"{label}{money}; sales and in-stock rate of {days} days, stock as of the last day, classes by 364 days. Not narrowed by "
        "location and category. Click a cell for its items."
    )
    with st.expander("The chart as a table", icon=":material/table:"):
        data_table(
            found.rows, name="class-matrix", as_of=served.context.as_of_date, alt="Classes of items",
            columns=("abc_class", "xyz_class", "skus_count", "net_sales_reporting_amount", "net_sales_rate", "stock_value_reporting_amount",
                     "in_stock_rate", "n"),
            labels={"skus_count": "Items", "net_sales_rate": "Share of sales (%)"}, definitions=found.definitions,
            filters={"days": str(days)},
        )  # fmt: skip


def class_table(served: Served, frame: pl.DataFrame, name: str, filters: Filters, *, opens: Callable[[dict[str, Any]], None]) -> None:
    """The items of the chosen class."""
    out = frame.filter(pl.col("out_count") > 0).height
    st.markdown(f"**{name}: {format_count(frame.height, 'item')}, {out:,} of them with nothing free somewhere**")
    st.caption("Most stock value first. Click a row to open the item.")
    code = served.context.currency_code
    data_table(
        frame, name="class-items", as_of=served.context.as_of_date, alt=f"Items of the class {name}", columns=_COLUMNS,
        labels={"title": "Title", "net_sales_reporting_amount": f"Sales in 364 days ({code})", "available_qty": "Free (units)",
                "stock_value_reporting_amount": f"Stock value ({code})", "out_count": "Locations with nothing free",
                "locations_count": "Locations"},
        filters=filters.as_export() | {"class": name}, definitions=COLUMN_WORDS | _DEFINITIONS, opens=opens,
    )  # fmt: skip


def matrix_title(rows: pl.DataFrame, currency: str) -> str:
    """Whether money follows sales: the class that sells most, and the one that holds most for what it sells."""
    known = rows.filter(pl.col("net_sales_rate").is_not_null() & pl.col("stock_value").is_not_null())
    total = float(known["stock_value"].sum())
    if known.is_empty() or not total:
        return "Stock and sales by class"
    shares = known.with_columns(share=pl.col("stock_value") / total)
    top = shares.sort("net_sales_rate", descending=True).row(0, named=True)
    heavy = shares.sort(pl.col("share") - pl.col("net_sales_rate"), descending=True).row(0, named=True)
    return (
        f"{_pair(top['abc_class'], top['xyz_class'])} makes {format_percent(top['net_sales_rate'])} of sales with "
        f"{format_percent(top['share'])} of the stock; {_pair(heavy['abc_class'], heavy['xyz_class'])} holds "
        f"{format_percent(heavy['share'])} of it, {format_money(heavy['stock_value'], currency)}, for "
        f"{format_percent(heavy['net_sales_rate'])} of sales"
    )


def _pair(abc_class: str, xyz_class: str) -> str:
    if abc_class == xyz_class:
        return CLASS_NAMES[abc_class]
    return f"{abc_class}{xyz_class}" if len(xyz_class) == 1 else f"{abc_class} {CLASS_NAMES[xyz_class].lower()}"


def _present(rows: pl.DataFrame, column: str, order: tuple[str, ...]) -> list[str]:
    found = set(rows[column])
    return [CLASS_NAMES[name] for name in order if name in found]


def _choose(key: str, chooses: Callable[[str, str], None]) -> None:
    picked = st.session_state[key]["selection"].get(_SELECTION) or []
    back = {name: member for member, name in CLASS_NAMES.items()}
    if picked:
        chooses(back[picked[0]["abc"]], back[picked[0]["xyz"]])
