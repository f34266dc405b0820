"""One item's stock: where it stands, how it went, when it runs out, how old it is, what is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import HEIGHT, as_chart, chart_block, day_axis, layered
from dashboards.components.class_names import CLASS_NAMES
from dashboards.components.column_words import COLUMN_WORDS
from dashboards.components.formats import escape_markdown, format_count, format_money, format_price, format_units
from dashboards.components.idle_stock import AGE_BANDS
from dashboards.components.stock_chart import amount_axis, count_tooltip
from dashboards.components.tables import data_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.queries.releases import Served
    from dashboards.queries.stock_item import ItemCard

_COLUMNS: Final = (
    "location", "state", "on_hand_qty", "held_qty", "available_qty", "inbound_qty", "next_inbound_date", "days_of_supply",
    "stock_value_reporting_amount", "reason",
)  # fmt: skip
_INBOUND: Final = {
    "expected_date": "When it should be here.",
    "open_qty": "Units that have not come yet.",
    "reference": "The purchase order or transfer.",
    "is_overdue": "Whether that day has passed.",
}


def item_head(served: Served, card: ItemCard) -> None:
    """What the item is, and what stands of it in all."""
    facts = card.facts
    classes = " · ".join(CLASS_NAMES.get(facts[name], facts[name]) for name in ("abc_class", "xyz_class") if facts[name])
    st.subheader(f"{facts['title']} ({facts['sku']})", anchor=False)
    told = [facts["category"], classes, facts["status"], f"unit cost {format_price(facts['unit_cost_amount'], facts['currency_code'])}"]
    st.caption(escape_markdown(" · ".join(one for one in told if one)))
    st.markdown(f"**{escape_markdown(item_title(card, served.context.currency_code))}**")


def position_table(served: Served, card: ItemCard, *, opens: Callable[[dict[str, Any]], None]) -> None:
    """Its position at each location."""
    frame = card.positions
    if frame.is_empty():
        st.info("No stock record at any location: nothing of it was ever counted.", icon=":material/inbox:")
        return
    code = served.context.currency_code
    held = pl.sum_horizontal("committed_qty", "reserved_qty", "damaged_qty")
    data_table(
        frame.with_columns(state=_state(), held_qty=held), name="item-positions", as_of=served.context.as_of_date,
        alt="The item's position by location", columns=_COLUMNS, filters={"item": card.facts["sku"]},
        opens=opens,
        labels={"on_hand_qty": "On hand (units)", "held_qty": "Held (units)",
                "available_qty": "Free (units)", "inbound_qty": "Under way (units)", "next_inbound_date": "Next delivery",
                "days_of_supply": st.column_config.NumberColumn("Lasts (days)", format="%,.0f", help=COLUMN_WORDS["days_of_supply"]),
                "stock_value_reporting_amount": f"Value ({code})", "state": "State",
                "reason": st.column_config.TextColumn("What the plan says", width="large")},
        definitions=COLUMN_WORDS,
    )  # fmt: skip


def course_chart(served: Served, course: pl.DataFrame, sku: str, location: str) -> None:
    """On hand day by day behind, where no order is suggested and so no course ahead was reckoned."""
    if course.is_empty():
        st.caption("No history of its stock is kept here.")
        return
    line = as_chart(course).mark_line(color=theme.REFERENCE, strokeWidth=2, interpolate="step-after")
    said = [alt.Tooltip("stock_date:T", timeUnit="utcyearmonthdate", title="Day", format="%a %-d %b %Y"),
            count_tooltip("on_hand_qty", "Units on hand"), count_tooltip("available_qty", "Free")]  # fmt: skip
    out = as_chart(course.filter(~pl.col("is_in_stock")).with_columns(pl.lit(0.0).alias("axis_qty")))
    marks = out.mark_point(shape="square", filled=True, size=18, opacity=1, color=theme.WARNING, yOffset=5)
    course_line = line.encode(day_axis("stock_date"), amount_axis("on_hand_qty"), tooltip=said)
    chart = layered([course_line, marks.encode(day_axis("stock_date"), amount_axis("axis_qty"))], height=HEIGHT)
    chart_block(
        chart, title=escape_markdown(course_title(course, location)), alt_text="Units on hand day by day",
        frame=course.reverse(), name="item-stock", as_of=served.context.as_of_date,
        caption="Marks below the axis: days that ended with nothing free.",
        labels={"stock_date": "Day", "on_hand_qty": "On hand (units)", "available_qty": "Free (units)", "is_in_stock": "In stock"},
        filters={"item": sku, "location": location}, definitions=COLUMN_WORDS,
    )  # fmt: skip


def inbound_and_age(served: Served, card: ItemCard) -> None:
    """What is under way, and how old what lies here is."""
    as_of = served.context.as_of_date
    overdue = card.inbound.filter(pl.col("is_overdue")) if card.inbound.height else card.inbound
    late = f", {_units(overdue, 'open_qty')} of them overdue" if overdue.height else ""
    st.markdown(f"**{_units(card.inbound, 'open_qty')} units are under way{late}**")
    if card.inbound.height:
        data_table(
            card.inbound, name="item-inbound", as_of=as_of, alt="Deliveries under way", labels={"expected_date": "Expected",
            "open_qty": "Open (units)", "reference": "Order", "supplier": "Supplier", "is_overdue": "Overdue", "location": "Location"},
            filters={"item": card.facts["sku"]}, definitions=_INBOUND,
        )  # fmt: skip
    if card.ages.height:
        aged = card.ages.filter(pl.col("is_aged"))
        st.markdown(f"**{_units(aged, 'qty')} of {_units(card.ages, 'qty')} units came in over 180 days ago**")
        ages = card.ages.with_columns(pl.col("age_band").replace(AGE_BANDS))
        data_table(
            ages, name="item-ages", as_of=as_of, alt="Units by how long ago they came in",
            columns=("location", "age_band", "is_aged", "qty", "stock_value_reporting_amount"),
            labels={"location": "Location", "age_band": "Came in", "is_aged": "Aged", "qty": "Units",
                    "stock_value_reporting_amount": f"Value ({served.context.currency_code})"},
            filters={"item": card.facts["sku"]}, definitions=COLUMN_WORDS,
        )  # fmt: skip


def item_title(card: ItemCard, currency: str) -> str:
    """What stands of it in all, and where nothing is free."""
    frame = card.positions
    if frame.is_empty():
        return "Nothing of it stands anywhere"
    value = float(frame["stock_value_reporting_amount"].drop_nulls().sum())
    said = (
        f"{_units(frame, 'on_hand_qty')} units on hand, {_units(frame, 'available_qty')} free, "
        f"{_units(frame, 'inbound_qty')} under way; {format_money(value, currency)} at cost"
    )
    empty = frame.filter(pl.col("available_qty") <= 0)["location"].to_list()
    return f"{said}. Nothing free at {', '.join(empty)}" if empty else said


def course_title(course: pl.DataFrame, location: str) -> str:
    """What is there now, and on how many days nothing was free."""
    last = course.row(-1, named=True)
    out = course.filter(~pl.col("is_in_stock")).height
    return f"{format_count(last['on_hand_qty'], 'unit')} at {location}; nothing was free on {out:,} of {course.height:,} days"


def _units(frame: pl.DataFrame, column: str) -> str:
    return format_units(float(frame[column].sum()))


def _state() -> pl.Expr:
    return (
        pl.when(pl.col("available_qty") <= 0).then(pl.lit("✗ Nothing free"))
        .when(pl.col("is_dead")).then(pl.lit("! Dead"))
        .when(pl.col("excess_qty") > 0).then(pl.lit("! Excess"))
        .when(pl.col("aged_qty") > 0).then(pl.lit("! Aged"))
        .otherwise(pl.lit("✓ In stock"))
    )  # fmt: skip
