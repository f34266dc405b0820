"""What will be wanted, and how good have such forecasts been?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from dashboards.components.demand_accuracy import (
    NAIVE,
    SPLITS,
    WAPE,
    accuracy_title,
    check_list,
    split_chart,
    whole_of,
    without_table,
    worse_table,
)
from dashboards.components.demand_level import demand_level, member_table
from dashboards.components.demand_story import show_demand, show_evidence
from dashboards.components.formats import escape_markdown
from dashboards.components.frame import show_page
from dashboards.components.links import page_link
from dashboards.components.metric_panels import metric_cards
from dashboards.components.override_panel import override_form, override_list, tell_last
from dashboards.components.states import errors_as_sentences, show_not_available, show_store_problem
from dashboards.components.tables import data_table
from dashboards.decisions import acting
from dashboards.queries import demand, demand_scores, forecasts, releases
from dashboards.queries.demand import Scope
from dashboards.queries.names import member_names
from dashboards.queries.overrides import overrides
from dashboards.queries.reports import report
from dashboards.queries.suggestions import suggestions

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.filters import Filters
    from dashboards.queries.demand import Level
    from dashboards.queries.releases import Served

OUTLOOK, ACCURACY, OVERRIDES, WITHOUT = "Outlook", "How good", "Overrides", "Without forecast"
PARTS: Final = (OUTLOOK, ACCURACY, OVERRIDES, WITHOUT)
HISTORY_DAYS: Final = 91
BACKTEST_DAYS: Final = 182  # holds all cut-offs of a backtest with their weeks ahead
MEASURES: Final = ("forecast_value_added", "forecast_wape", "forecast_bias", "forecast_interval_coverage")


def page(served: Served, filters: Filters) -> None:
    """The page's content."""
    scores = report(served, "forecast_scores")
    if scores.missing:
        show_not_available("Demand and its forecasts", scores.missing)
        return
    if unmarked := releases.missing_tables(served, ("stock_levels", "promotions")):
        st.caption(f":material/block: Days without stock or on promotion: not available, needs {escape_markdown(', '.join(unmarked))}.")
    item, place = show_path(served, filters)
    tell_last((item, place))
    scope = Scope.of(filters, item)
    part = st.segmented_control(
        "Show", PARTS, default=OUTLOOK, required=True, bind="query-params", key="part", label_visibility="collapsed"
    )
    with errors_as_sentences("The forecasts"):
        if part == ACCURACY:
            show_accuracy(served, filters, scope)
        elif part == OVERRIDES:
            show_overrides(served, demand.at_location(scope, place) if place else scope)
        elif part == WITHOUT:
            without_table(served, demand_scores.without_forecast(served, scope), scope, opens=open_place)
        elif item and place:
            show_item(served, filters, item, place)
        else:
            show_level(served, filters, scope)


def show_path(served: Served, filters: Filters) -> tuple[str | None, str | None]:
    """The way down: everything, a category, an item, an item at a location; the steps stand in the address. Returns item and location."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Item", placeholder="SKU or title", bind="query-params", key="sku", width=260)
        found = demand.find_item(served, text) if text.strip() else None
        item = str(found["sku"][0]) if found is not None and found.height == 1 else None
        places = demand.locations_of(served, item) if item else {}
        place = None
        if places:
            place = st.segmented_control(
                "At location", list(places), format_func=lambda one: places.get(one, one), bind="query-params", key="place"
            )
    if found is not None and item is None:
        _show_matches(served, found, text)
    category = filters.category[0] if len(filters.category) == 1 else None
    title = f"{found['title'][0]} ({item})" if found is not None and item else ""
    going: tuple[tuple[str | None, Callable[[], None]], ...] = (
        ("All items", _to_all), (category, _to_category), (title, _to_item), (places[place] if place else None, _to_item),
    )  # fmt: skip
    steps = [(label, go) for label, go in going if label]
    if len(steps) > 1:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            for level, (label, go) in enumerate(steps[:-1]):
                st.button(label, key=f"step-{level}", type="tertiary", on_click=go, icon=":material/arrow_upward:")
            st.markdown(f"**{escape_markdown(steps[-1][0])}**", width="content")
    return item, place


def show_level(served: Served, filters: Filters, scope: Scope) -> None:
    """Many series together: their course, and what they are made of."""
    found = demand.demand_sum(served, scope)
    if not found.series_count:
        st.info("Nothing was ever wanted of what is chosen here. Choose another item, or widen the filters.", icon=":material/inbox:")
        return
    by: Level = "location" if scope.sku else "sku" if len(filters.category) == 1 else "category"
    demand_level(served, found, scope, what=scope.sku or ", ".join(filters.category) or "all items")
    said = accuracy_title(whole_of(report(served, "forecast_scores")), today=releases.now().date())
    st.markdown(f":material/target: {said}.", help=f"{NAIVE} Over all series; part {ACCURACY} has each.")
    opens = {"category": open_category, "sku": open_sku, "location": _open_location}[by]
    rows = demand.members(served, scope, by)
    member_table(served, rows, by, scope, opens=opens)
    if rows.height == demand.MOST_ROWS:
        st.caption(f"The {demand.MOST_ROWS} with most forecast; find any other by its SKU.")


def show_item(served: Served, filters: Filters, item: str, place: str) -> None:
    """One item at one location: its days with band, the evidence, overrides, and the ways on."""
    today = releases.now().date()
    outlook = forecasts.demand_outlook(served, sku=item, location_id=place, history_days=HISTORY_DAYS)
    show_demand(outlook, item={"sku": item, "location_id": place}, today=today)
    if outlook.days.is_empty():
        for row in demand_scores.without_forecast(served, demand.at_location(Scope(sku=item), place)).iter_rows(named=True):
            st.info(escape_markdown(f"{row['state']}: {row['reason']}"), icon=":material/info:")
    with st.container(horizontal=True):
        page_link(
            served, filters, "stock", "Its stock", icon="inventory_2", sku=item, place=member_names(served, "location").get(place, place)
        )
        page_link(served, filters, "reorder", "What to order of it", icon="shopping_cart", item=item)
    show_evidence(forecasts.evidence(served, sku=item, location_id=place), today=today)
    if outlook.days.height:
        found = suggestions(served)
        who = acting(found)
        here = demand.at_location(Scope(sku=item), place)
        known = overrides(served, here, who.operator)
        show_store_problem(known.store_problem)
        names = {"sku": item, "location_id": place}
        override_form(served, outlook, who, item=names, tries=known.frame.height, today=today)
        override_list(served, known, here, who)


def show_accuracy(served: Served, filters: Filters, scope: Scope) -> None:
    """How good forecasts were, where, and which were not worth having."""
    scores = report(served, "forecast_scores")
    st.markdown(f"**{accuracy_title(whole_of(scores), today=releases.now().date())}**", help=f"{NAIVE}\n\n{WAPE}")
    metric_cards(served, MEASURES, replace(filters, days=BACKTEST_DAYS), name="forecast-accuracy", per_row=2)
    split = st.segmented_control(
        "Where it is worth most, by", list(SPLITS), default="abc_class", format_func=SPLITS.__getitem__, required=True,
        bind="query-params", key="split",
    )  # fmt: skip
    split_chart(served, scores, split or "abc_class", member_names(served, "location"))
    worse_table(served, demand_scores.worse_than_naive(served, scope), demand_scores.tested(served, scope), scope, opens=open_place)
    check_list(demand_scores.forecast_checks(served), forecasts.withheld_reason(served))


def show_overrides(served: Served, scope: Scope) -> None:
    """What people expect instead, and what it was worth."""
    who = acting(suggestions(served))
    found = overrides(served, scope, who.operator)
    show_store_problem(found.store_problem)
    override_list(served, found, scope, who)
    st.caption("To set one, open an item at a location: a campaign, a new customer, a product that runs out.")


def open_category(row: dict[str, Any]) -> None:
    """One level down, into a category; what has none stays among all."""
    if row["member"] != "unknown":
        st.session_state["category"] = [row["member"]]


def open_sku(row: dict[str, Any]) -> None:
    """One level down, into an item."""
    st.session_state["sku"] = row.get("member") or row["sku"]


def open_place(row: dict[str, Any]) -> None:
    """Straight to one item at one location."""
    st.session_state["sku"] = row["sku"]
    st.session_state["place"] = row["location_id"]
    st.session_state["part"] = OUTLOOK


def _open_location(row: dict[str, Any]) -> None:
    st.session_state["place"] = row["member"]


def _show_matches(served: Served, found: Any, text: str) -> None:
    if found.is_empty():
        st.info(f"No item has {escape_markdown(text)} in its SKU or title.", icon=":material/search_off:")
        return
    data_table(
        found, name="items-found", as_of=served.context.as_of_date, alt="Items that the text names", labels={"sku": "SKU"},
        filters={"item": text}, definitions={}, opens=open_sku,
    )  # fmt: skip


def _to_all() -> None:
    _to_category()
    st.session_state["category"] = []


def _to_category() -> None:
    st.session_state["sku"] = ""


def _to_item() -> None:
    st.session_state["place"] = None


show_page("demand", page)
