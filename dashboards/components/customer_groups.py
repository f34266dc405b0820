"""Parts of the page about customers: segments, the best customers, what is bought together, and what customers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import chart_block
from dashboards.components.customer_charts import measures_chart, score_bars
from dashboards.components.customer_list import customer_list
from dashboards.components.customer_words import CUSTOMER_WORDS
from dashboards.components.formats import escape_markdown, format_number, format_percent, format_sample, format_units, spoken
from dashboards.components.metric_panels import metric_breakdown, metric_cards, metric_course
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.queries import customers
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

CUSTOMERS_DRAWN: Final = 15
SATISFACTION: Final = ("satisfaction_mean_score", "satisfaction_low_score_rate", "review_rate")
# Segment: who they are, and what to do about them.
ADVICE: Final = {
    "champions": ("Ordered lately, often and for much", "Keep them: first look at new items, no discounts needed"),
    "loyal": ("Ordered lately", "Bring them to their next order: replenishment reminders, bundles"),
    "at_risk": ("Good once, silent for a while", "Ask now, before they are lost: reminder, service call for the best"),
    "lost": ("Silent for longest", "One cheap win-back try, then leave them out of paid campaigns"),
    "new": ("One order, less than 91 days old", "Win the second order: it decides whether they stay"),
    "one_time": ("One order, 91 days old or older", "One offer for what goes with their first order, no more"),
    "prospect": ("Listed or under contract, no order yet", "Welcome offer"),
}
_SEGMENT_LABELS: Final = {
    "name": "Segment",
    "customers_count": "Customers",
    "customers_share_rate": "Of all customers (%)",
    "net_share_rate": "Of net sales (%)",
    "predicted_share_rate": "Of expected sales (%)",
    "orders_mean": "Orders each",
    "last_order_median_days": "Days since last order, median",
    "who": "Who they are",
    "to_do": "What to do",
}
_SEGMENT_COLUMNS: Final = (
    "name", "who", "customers_count", "customers_share_rate", "net_reporting_amount", "net_share_rate", "predicted_reporting_amount",
    "predicted_share_rate", "orders_mean", "last_order_median_days",
)  # fmt: skip
_PAIR_LABELS: Final = {
    "item_name": "Bought",
    "other_name": "together with",
    "order_count": "Orders with both (n)",
    "expected_order_count": st.column_config.NumberColumn(
        "By chance", format="%,.1f", help="Orders that would hold both if each were bought by itself."
    ),
    "lift": st.column_config.NumberColumn(
        "Times as often as by chance", format="%,.1f", help="Lift: orders with both, by what chance gives."
    ),
    "confidence_rate": "Of orders with the first (%)",
    "reverse_confidence_rate": "Of orders with the other (%)",
    "stands_out": st.column_config.CheckboxColumn(
        "Beyond chance", help="So far above chance that it is unlikely in any of all possible pairs."
    ),
}


def show_segments(served: Served, _filters: Filters) -> None:
    """How large each segment is, what it brings, and what to do; below, its customers."""
    if missing := report(served, "top_customers", limit=1).missing:
        show_not_available("Segments", missing)
        return
    frame = named_segments(served)
    if frame.is_empty():
        st.caption("The source lists no customer yet.")
        return
    currency = served.context.currency_code
    measures = [("net_share_rate", "Of net sales so far", theme.ACCENT), ("customers_share_rate", "Of customers", theme.INBOUND),
                ("predicted_share_rate", "Of sales expected in 364 days", theme.WARNING)]  # fmt: skip
    chart_block(
        measures_chart(frame, measures, unit="percent"),
        title=escape_markdown(segment_title(frame)),
        alt_text="Segments by size and value",
        frame=frame,
        name="segments",
        as_of=served.context.as_of_date,
        caption="RFM: by last order, orders and value, each in fifths of the customers with orders. Segments are relative: a shop that "
        f"loses everybody still has champions, so churn is the absolute statement. {_unvalued(frame)}",
        columns=_SEGMENT_COLUMNS,
        labels=_SEGMENT_LABELS
        | {"net_reporting_amount": f"Net sales so far ({currency})", "predicted_reporting_amount": f"Expected in 364 days ({currency})"},
        filters={},
        definitions=CUSTOMER_WORDS,
    )
    st.markdown("**What to do**")
    data_table(
        frame.select("name", "customers_count", "who", "to_do"),
        name="segments-to-do",
        as_of=served.context.as_of_date,
        alt="What to do about each segment",
        labels=_SEGMENT_LABELS | {"to_do": st.column_config.TextColumn("What to do", width="large")},
        filters={},
        definitions=CUSTOMER_WORDS,
    )
    _show_customers_of(served, dict(frame.select("segment", "name").iter_rows()))


def _show_customers_of(served: Served, names: dict[str, str]) -> None:
    chosen = st.selectbox("Customers of a segment", list(names), format_func=lambda one: names[one], index=None, bind="query-params",
                          key="segment", placeholder="Choose a segment")  # fmt: skip
    if chosen:
        of = customers.customers_of(served, chosen)
        st.caption(f"The {of.height:,} from whom most is expected.")
        customer_list(
            of, served, name=f"customers-{chosen.replace('_', '-')}", alt="Customers of the segment",
            columns=("customer_key", "predicted_reporting_amount", "net_reporting_amount", "order_count", "first_order_date",
                     "last_order_date", "alive_rate", "country"),
            chosen_by={"segment": chosen},
        )  # fmt: skip


def show_best(served: Served, filters: Filters) -> None:
    """Who brought most in the period, and whether they grow."""
    days = filters.report_days
    found = report(served, "top_customers", limit=1)
    frame = customers.top_customers(served, days)
    if found.missing or frame.is_empty():
        if found.missing:
            show_not_available("Top customers", found.missing)
        else:
            st.caption(f"No customer bought anything in {days} days.")
        return
    shown = frame.with_columns((pl.col("value_rank").cast(pl.String) + " · " + pl.col("customer_key").str.head(8)).alias("name"))
    measures = [
        ("net_reporting_amount", f"Net sales, {days} days", theme.ACCENT),
        ("prior_net_reporting_amount", "The period before", theme.WARNING),
    ]
    with st.container():
        chart_block(
            measures_chart(shown.head(CUSTOMERS_DRAWN), measures, unit="money", row_pixels=26),
            title=escape_markdown(best_title(frame)),
            alt_text="The best customers by net sales, and the period before",
            frame=frame,
            name="best-customers-chart",
            as_of=served.context.as_of_date,
            caption=f"The first {CUSTOMERS_DRAWN} over {days} days{_other_period(filters.days, days)}, {served.context.currency_code}. "
            "Growing or shrinking is a change of more than 10 %. They were chosen by this period's sales, so more grow than shrink by the "
            "choice alone.",
            columns=("value_rank", "customer_key", "net_reporting_amount", "prior_net_reporting_amount", "direction"),
            labels={"value_rank": "Rank", "customer_key": "Customer (key)"},
            filters={"days": str(days)},
            definitions=found.definitions,
        )
    customer_list(
        frame, served, name="best-customers", alt="The best customers, best first", lasting=False, chosen_by={"days": str(days)},
        columns=("value_rank", "customer_key", "net_reporting_amount", "prior_net_reporting_amount", "change_reporting_amount", "direction",
                 "net_sales_share_rate", "order_count", "last_order_date", "segment"),
    )  # fmt: skip


def show_bought_together(served: Served, _filters: Filters) -> None:
    """Pairs of items or categories, with how far beyond chance they are."""
    found = report(served, "basket_pairs", limit=1)
    if found.missing:
        show_not_available("Basket affinity", found.missing)
        return
    what = st.segmented_control("Pairs of", ["Items", "Categories"], default="Items", required=True, bind="query-params", key="pairs")
    frame = customers.basket_pairs(served, "category" if what == "Categories" else "sku")
    if frame.is_empty():
        st.caption("No two were in 10 orders together in 364 days.")
        return
    first = frame.row(0, named=True)
    st.markdown(f"**{escape_markdown(pair_title(first))}**")
    st.caption(
        f"From {format_units(first['basket_count'])} orders of 364 days; {format_units(first['pairs_count'])} pairs were in 10 orders "
        f"or more, {format_units(first['pairs_standing_out_count'])} of them beyond chance. Orders of over 40 products are left out: "
        f"{format_units(first['oversized_order_count'])}. A pair says nothing of cause; try it as a bundle before you count on it."
    )
    if frame.height < first["pairs_count"]:
        st.caption(f"The first {frame.height:,}; `ordercast report basket_pairs --csv` has all.")
    data_table(
        frame,
        name=f"bought-together-{what.lower() if what else 'items'}",
        as_of=served.context.as_of_date,
        alt="Pairs bought together, most beyond chance first",
        columns=(
            "item_name",
            "other_name",
            "stands_out",
            "order_count",
            "expected_order_count",
            "lift",
            "confidence_rate",
            "reverse_confidence_rate",
        ),
        labels=_PAIR_LABELS,
        filters={},
        definitions=found.definitions,
    )


def show_satisfaction(served: Served, filters: Filters) -> None:
    """Scores, how they depend on lateness, and their course."""
    days = filters.report_days
    found = report(served, "review_scores", limit=1)
    metric_cards(served, SATISFACTION, filters, name="satisfaction")
    if found.missing:
        show_not_available("Scores by lateness", found.missing)
        return
    frame = customers.scores_by_lateness(served, days)
    if frame.is_empty():
        st.caption(f"Nobody has scored an order in {days} days.")
        return
    counts = [f"{row['lateness']} {format_units(row['lateness_reviews_count'])}"
              for row in frame.unique("lateness", maintain_order=True).iter_rows(named=True)]  # fmt: skip
    chart_block(
        score_bars(frame), title=escape_markdown(lateness_title(frame)), alt_text="Review scores by how late the order was", frame=frame,
        name="scores-by-lateness", as_of=served.context.as_of_date,
        caption=f"Reviews over {days} days{_other_period(filters.days, days)}: {', '.join(counts)}. All channels and locations.",
        columns=("lateness", "score", "reviews_count", "score_rate", "prior_score_rate", "cycle_time_mean_days"),
        labels={"lateness": "Delivered", "score": "Score", "reviews_count": "Reviews", "score_rate": "Share (%)",
                "prior_score_rate": "Period before (%)", "cycle_time_mean_days": "Cycle time, mean (days)"},
        filters={"days": str(days)},
        definitions=found.definitions,
    )  # fmt: skip
    metric_breakdown(served, "satisfaction_low_score_rate", "carrier", filters)
    metric_course(served, "satisfaction_low_score_rate", filters)


def named_segments(served: Served) -> pl.DataFrame:
    """Segments with `name`, `who` they are and what `to_do`."""
    found = customers.segments(served)
    return found.with_columns(
        pl.Series("name", [segment_name(one) for one in found["segment"]], dtype=pl.String),
        *(pl.Series(column, [ADVICE.get(one, ("", ""))[place] for one in found["segment"]], dtype=pl.String)
          for place, column in enumerate(("who", "to_do"))),
    )  # fmt: skip


def segment_name(segment: str) -> str:
    """`at_risk` as people read it: `At risk`."""
    return spoken(segment).capitalize()


def segment_title(frame: pl.DataFrame) -> str:
    """The answer: which segment brings most, by how few customers."""
    ranked = frame.drop_nulls("net_share_rate").sort("net_share_rate", descending=True)
    if ranked.is_empty():
        return f"{format_units(int(frame['customers_count'].sum()))} customers; what they brought is not known"
    top = ranked.row(0, named=True)
    return (
        f"{top['name']} are {format_percent(top['customers_share_rate'])} of customers and brought "
        f"{format_percent(top['net_share_rate'])} of net sales"
    )


def best_title(frame: pl.DataFrame) -> str:
    """The answer: what share the best customers bring, and how many of them shrink."""
    share = frame["all_share_rate"][0]
    said = f"The {frame.height} best customers bring {format_percent(share)} of net sales"
    if not frame["prior_net_reporting_amount"].drop_nulls().len():
        return f"{said}; whether they grow is not known yet"
    count = dict(frame["direction"].value_counts().iter_rows())
    return f"{said}; {count.get('shrinking', 0)} of them shrink, {count.get('growing', 0) + count.get('nothing before', 0)} grow"


def pair_title(first: dict[str, Any]) -> str:
    """The answer in plain words: the strongest pair, or that none is beyond chance."""
    told = (
        f"{first['item_name']} and {first['other_name']} were in {format_units(first['order_count'])} orders together, "
        f"{format_number(first['lift'])} times as often as by chance"
    )
    if first["stands_out"]:
        return told
    return f"No pair stands out beyond chance; nearest to it: {told}" if first["lift"] > 1 else "No pair stands out beyond chance"


def lateness_title(frame: pl.DataFrame) -> str:
    """The answer: how many scores of 1 or 2 there are at each end of lateness."""
    by = frame.unique("lateness", maintain_order=True).select("lateness", pl.col("low_rate").fill_null(0.0), "lateness_reviews_count")
    said = []
    for lateness, rate, count in (by.row(0), *([by.row(-1)] if by.height > 1 else [])):
        sample = format_sample(count)
        said.append(f"{format_percent(rate)} of orders {lateness}{f' ({sample})' if sample else ''}")
    return f"Scores of 1 or 2: {', '.join(said)}"


def _unvalued(frame: pl.DataFrame) -> str:
    count = int(frame["unvalued_count"].sum())
    return f"{format_units(count)} customers bought without an exchange rate and are in no value." if count else ""


def _other_period(asked: int, shown: int) -> str:
    return "" if asked == shown else f" (reports have 28, 91 and 364 days; you asked for {asked})"
