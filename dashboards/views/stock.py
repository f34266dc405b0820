"""Where is our stock, will it last, and what lies idle?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.components.class_matrix import SHADES, cell_names, class_table, matrix_chart
from dashboards.components.formats import escape_markdown
from dashboards.components.frame import show_page
from dashboards.components.idle_stock import STATES, age_chart, idle_table
from dashboards.components.item_card import course_chart, inbound_and_age, item_head, position_table
from dashboards.components.links import page_link
from dashboards.components.metric_panels import metric_cards, metric_course
from dashboards.components.states import errors_as_sentences, show_not_available
from dashboards.components.stock_network import MEASURES, across_chart, network_table
from dashboards.components.stock_outlook import show_outlook
from dashboards.components.stock_outs import HORIZONS, stock_out_list
from dashboards.components.tables import data_table
from dashboards.queries import demand, releases, reorder, stock, stock_item
from dashboards.queries.suggestions import suggestions

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

NETWORK, RUNS_OUT, IDLE, CLASSES = "Where it is", "Runs out", "Lies idle", "Classes"
PARTS: Final = (NETWORK, RUNS_OUT, IDLE, CLASSES)
MEANT: Final[dict[str, tuple[str, ...]]] = {
    NETWORK: ("stock_value", "in_stock_rate", "days_of_supply"),
    IDLE: ("dead_stock_rate", "excess_stock_rate", "aged_stock_rate"),
}


def page(served: Served, filters: Filters) -> None:
    """The page's content."""
    if missing := releases.missing_tables(served, ("stock_levels",)):
        show_not_available("Stock", missing)
        return
    text = st.text_input("Item", placeholder="SKU or title", bind="query-params", key="sku", width=260)
    with errors_as_sentences("The stock"):
        if text.strip():
            show_item(served, filters, text)
        else:
            show_parts(served, filters)


def show_parts(served: Served, filters: Filters) -> None:
    """One of the four questions about all stock; the choice stands in the address."""
    part = st.segmented_control(
        "Show", PARTS, default=NETWORK, required=True, bind="query-params", key="about", label_visibility="collapsed"
    )
    if part in MEANT:
        metric_cards(served, MEANT[part], filters, name=f"stock-{part.lower().replace(' ', '-')}")
    if part == RUNS_OUT:
        show_stock_outs(served, filters)
    elif part == IDLE:
        show_idle(served, filters)
    elif part == CLASSES:
        show_classes(served, filters)
    else:
        show_network(served, filters)


def show_network(served: Served, filters: Filters) -> None:
    """Where stock stands, and how well it is there when wanted."""
    network_table(served, stock.network(served, filters), filters)
    measure = st.segmented_control(
        "By category and location", list(MEASURES), default="stock_value", format_func=lambda name: MEASURES[name][0], required=True,
        bind="query-params", key="measure",
    )  # fmt: skip
    across_chart(served, stock.across(served, measure, filters), measure, filters)
    metric_course(served, "in_stock_rate", filters)


def show_stock_outs(served: Served, filters: Filters) -> None:
    """What runs out when, and whether anything is suggested about it."""
    within = st.segmented_control(
        "Within", HORIZONS, default=14, format_func="{} days".format, required=True, bind="query-params", key="within"
    )
    is_uncovered = st.toggle("Only where nothing is suggested", bind="query-params", key="uncovered")
    stock_out_list(served, stock.projection(served, filters), within, filters, is_uncovered=is_uncovered, opens=open_item)


def show_idle(served: Served, filters: Filters) -> None:
    """What is old, excess or dead, and what to do about it."""
    age_chart(served, stock.ages(served, filters), filters)
    frame = stock.idle(served, filters)
    state = st.segmented_control("State", STATES, bind="query-params", key="idle", help="None chosen shows all.")
    idle_table(served, frame.filter(pl.col("state") == state) if state else frame, filters, opens=open_item)


def show_classes(served: Served, filters: Filters) -> None:
    """Whether money and availability follow what sells and how steadily."""
    days, found = stock.class_matrix(served, filters)
    if found.missing:
        show_not_available("Classes of items", found.missing)
        return
    if found.rows.is_empty():
        st.info("No item has a class yet.", icon=":material/inbox:")
        return
    shade = st.segmented_control(
        "Shade by", list(SHADES), default="stock_value", format_func=lambda name: SHADES[name][0], required=True, bind="query-params",
        key="shade",
    )  # fmt: skip
    matrix_chart(served, found, shade, days, chooses=choose_class)
    names = cell_names(found.rows)
    cell = st.pills("Class", list(names), format_func=lambda one: names.get(one, one), bind="query-params", key="class")
    if cell:
        abc, _, xyz = cell.partition("-")
        class_table(served, stock.class_items(served, filters, abc, xyz), names[cell], filters, opens=open_item)


def show_item(served: Served, filters: Filters, text: str) -> None:
    """One item's card, or the items that the text names."""
    st.button("All stock", icon=":material/arrow_upward:", type="tertiary", on_click=close_item)
    found = demand.find_item(served, text)
    if found.height != 1:
        if found.is_empty():
            st.info(f"No item has {escape_markdown(text)} in its SKU or title.", icon=":material/search_off:")
        else:
            data_table(
                found, name="items-found", as_of=served.context.as_of_date, alt="Items that the text names", labels={"sku": "SKU"},
                filters={"item": text}, definitions={}, opens=open_item,
            )  # fmt: skip
        return
    sku = str(found["sku"][0])
    card = stock_item.item_card(served, sku)
    if card is None:
        return
    item_head(served, card)
    places = dict(card.positions.select("location_id", "location").iter_rows())
    position_table(served, card, opens=choose_place)
    place = st.segmented_control(
        "Course at", list(places), default=next(iter(places), None), format_func=lambda one: places.get(one, one), bind="query-params",
        key="place",
    ) if places else None  # fmt: skip
    show_links(served, filters, sku, places.get(place or ""))
    if place:
        show_course(served, sku, place, places[place])
    inbound_and_age(served, card)


def show_links(served: Served, filters: Filters, sku: str, location: str | None) -> None:
    """The ways on from the item."""
    at = {} if location is None else {"place": location}
    with st.container(horizontal=True):
        page_link(served, filters, "demand", "Its demand and forecast", icon="show_chart", sku=sku, **at)
        page_link(served, filters, "reorder", "What to order of it", icon="shopping_cart", item=sku)


def show_course(served: Served, sku: str, location_id: str, location: str) -> None:
    """Behind, and ahead where an order is suggested."""
    rows = suggestions(served).frame
    rows = rows.filter((pl.col("sku") == sku) & (pl.col("location_id") == location_id) & (pl.col("kind") == "purchase"))
    outlook = reorder.stock_outlook(served, rows.row(0, named=True)) if rows.height else None
    if outlook is not None and outlook.days.height:
        item = {"sku": sku, "location_id": location_id}
        show_outlook(outlook, item=item, today=releases.now().date(), place=location)
    else:
        course_chart(served, stock_item.stock_course(served, sku, location_id), sku, location)


def open_item(row: dict[str, Any]) -> None:
    """The item's card, at the row's location if it has one."""
    st.session_state["sku"] = row["sku"]
    if "location_id" in row:
        st.session_state["place"] = row["location_id"]


def close_item() -> None:
    """Back to all stock."""
    st.session_state["sku"] = ""


def choose_place(row: dict[str, Any]) -> None:
    """The course at this location."""
    st.session_state["place"] = row["location_id"]


def choose_class(abc_class: str, xyz_class: str) -> None:
    """The items of this class."""
    st.session_state["class"] = f"{abc_class}-{xyz_class}"


show_page("stock", page)
