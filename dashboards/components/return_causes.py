"""What comes back and why: the Pareto in three cuts, whether it is getting worse, and the lines behind one bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import chart_block
from dashboards.components.customer_charts import measures_chart
from dashboards.components.formats import escape_markdown, format_change, format_count, format_percent, format_sample, format_units
from dashboards.components.links import page_link
from dashboards.components.return_charts import BARS_DRAWN, pareto_chart
from dashboards.components.states import show_not_available
from dashboards.components.tables import data_table
from dashboards.queries import returns
from dashboards.queries.metrics import catalogue, kpis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served

CUTS: Final = {"Reasons": "reason", "Products": "sku", "Suppliers": "supplier"}
_INSIDE: Final = {"reason": "sku", "sku": "reason", "supplier": "sku"}  # what a member is taken apart into
_NOUN: Final = {"reason": "reason", "sku": "product", "supplier": "supplier"}
_LABELS: Final = {
    "name": "What",
    "returned_qty": "Returned (units)",
    "prior_returned_qty": "Period before (units)",
    "change_qty": "Change (units)",
    "share_rate": "Share (%)",
    "cumulative_rate": "With all above (%)",
    "rate": st.column_config.NumberColumn("Return rate", format="percent"),
}
_LINE_LABELS: Final = {
    "created_date": "Announced", "order_id": "Order", "title": "Product", "reason": "Reason", "returned_qty": "Units",
    "received_date": "Received", "refunded_date": "Refunded", "is_exchange": "Exchange", "condition": "Condition",
}  # fmt: skip

_LINE_DEFINITIONS: Final = {
    "returned_qty": "Units announced to come back.",
    "received_date": "When they arrived; blank until then.",
    "refunded_date": "When they were paid back; blank until then.",
    "refund_reporting_amount": "What has been paid back for it; blank until then or without an exchange rate.",
    "is_exchange": "Whether other goods are sent instead of money.",
    "condition": "What the goods were like on arrival.",
}


def show_causes(served: Served, filters: Filters) -> None:
    """The Pareto of one cut, what changed, and what one of its members consists of."""
    figure = kpis(served, ("returned_units",), filters)[0]
    if figure.value.needs_missing:
        show_not_available("Reasons of returns", figure.value.needs_missing)
        return
    name = st.segmented_control("Cut by", list(CUTS), default="Reasons", required=True, bind="query-params", key="cut") or "Reasons"
    cut = CUTS[name]
    frame = returns.pareto(served, cut, filters)
    if frame.is_empty():
        st.caption(f"Nothing was announced as returned in {filters.days} days.")
        return
    _show_pareto(served, filters, frame, cut, name=f"returns-by-{_NOUN[cut]}", clicked=lambda bar: _choose(cut, bar))
    _show_rates(served, filters, frame, cut)
    _show_member(served, filters, frame, cut)


def pareto_title(frame: pl.DataFrame, noun: str) -> str:
    """The answer: how few make most of it, or who is first."""
    enough = frame.filter((pl.col("cumulative_rate") - pl.col("share_rate")) < 0.5)
    total = format_units(int(frame["returned_qty"].sum()))
    if frame.height == 1:
        return f"All {total} units: {frame['name'][0]}"
    if enough.height <= 3:
        names = (" and " if enough.height < 3 else ", ").join(enough["name"].to_list())
        return f"{_sentence(names, noun)}: {format_percent(enough['cumulative_rate'][-1])} of {total} units returned"
    return f"{enough.height} of {format_count(frame.height, noun)} make half of {total} units returned; first {frame['name'][0]}"


def worsening_title(rates: pl.DataFrame, noun: str) -> str:
    """The answer: whose return rate rose most, among those with a sample that is not small."""
    known = rates.drop_nulls("change").filter(pl.col("n") >= 30).sort("change", descending=True)
    if known.is_empty():
        return f"Whether it is getting worse cannot be said yet: no {noun} has two comparable periods"
    worst = known.row(0, named=True)
    if worst["change"] <= 0:
        return f"No {noun} is getting worse: none has a higher return rate than before"
    rose = known.filter(pl.col("change") > 0).height
    return (
        f"{_sentence(worst['name'], noun)} got worse most: {format_percent(worst['rate'])} return rate, "
        f"{format_change(100 * worst['change'], 'pp')}; {rose} of {format_count(known.height, noun)} rose"
    )


def _sentence(name: str, noun: str) -> str:
    """The name as a sentence begins: reasons are words, products and suppliers are names."""
    return name.capitalize() if noun == "reason" else name


def _show_pareto(served: Served, filters: Filters, frame: pl.DataFrame, cut: str, *, name: str, title: str = "",
                 clicked: Callable[[Mapping[str, Any]], None] | None = None) -> None:  # fmt: skip
    noun = _NOUN[cut]
    more = f" The first {BARS_DRAWN} of {frame.height:,}; the table has all." if frame.height > BARS_DRAWN else ""
    whose = " Suppliers are the products' primary ones of today." if cut == "supplier" else ""
    chart_block(
        pareto_chart(frame), title=escape_markdown(title or pareto_title(frame, noun)), alt_text=f"Returned units by {noun}, most first",
        frame=frame, name=name, as_of=served.context.as_of_date,
        caption=f"Units announced in {filters.days} days. Bars: share of all; orange: share with all above.{more}{whose}"
        f"{' Click a bar to look into it, or choose it below.' if clicked else ''}",
        columns=("name", "returned_qty", "prior_returned_qty", "change_qty", "share_rate", "cumulative_rate", "refund_reporting_amount"),
        labels=_LABELS | {"name": noun.capitalize(), "refund_reporting_amount": f"Refunded so far ({served.context.currency_code})"},
        filters=filters.as_export(), definitions={"returned_qty": catalogue(served)["returned_units"].description}, clicked=clicked,
    )  # fmt: skip


def _show_rates(served: Served, filters: Filters, frame: pl.DataFrame, cut: str) -> None:
    """Return rates of the cohort that had time to come back, now and before, for the members of the Pareto's head."""
    found, why_not = returns.rates(served, cut, filters)
    st.markdown("**Is it getting worse?**")
    if why_not or found.is_empty():
        st.caption(f":material/block: {escape_markdown(why_not or 'No units left early enough to have had 30 days to come back.')}")
        return
    head = frame.head(BARS_DRAWN).select("member", pl.col("name").alias("told"))
    known = head.join(found, on="member", how="left", maintain_order="left").with_columns(name=pl.col("told"))
    small = known.filter(pl.col("n") < 30)
    chart_block(
        measures_chart(known, [("rate", "Return rate", theme.ACCENT), ("prior_rate", "The period before", theme.WARNING)], unit="percent"),
        title=escape_markdown(worsening_title(known, _NOUN[cut])),
        alt_text="Return rates now and in the period before",
        frame=known,
        name=f"return-rate-by-{_NOUN[cut]}",
        as_of=served.context.as_of_date,
        caption=f"Of the units whose line left in the {filters.days} days that ended 30 days before the as-of date: customers have "
        f"30 days to return, so younger goods would look better than they are.{f' {_small(small)}' if small.height else ''}",
        columns=("name", "rate", "prior_rate", "change", "n"),
        labels={
            "name": _NOUN[cut].capitalize(),
            "rate": st.column_config.NumberColumn("Return rate", format="percent"),
            "prior_rate": "Period before (%)",
            "change": st.column_config.NumberColumn("Change", format="percent"),
            "n": "Lines (n)",
        },
        filters=filters.as_export(),
        definitions={"rate": catalogue(served)["return_rate"].description},
    )


def _show_member(served: Served, filters: Filters, frame: pl.DataFrame, cut: str) -> None:
    names = dict(frame.select("member", "name").iter_rows())
    chosen = st.selectbox(
        f"Look into one {_NOUN[cut]}", list(names), format_func=lambda one: f"{names[one]} · {one}" if names[one] != one and cut != "reason"
        else names[one], index=None, placeholder=f"Choose a {_NOUN[cut]} to see what it consists of and its orders", bind="query-params",
        key=f"one_{_NOUN[cut]}",
    )  # fmt: skip
    if chosen is None:
        return
    within, inside = (cut, chosen), _INSIDE[cut]
    parts = returns.pareto(served, inside, filters, within=within)
    whole = _sentence(names[chosen], _NOUN[cut])
    _show_pareto(
        served, filters, parts, inside, name=f"returns-of-one-{_NOUN[cut]}", title=f"{whole}: {pareto_title(parts, _NOUN[inside])}"
    )
    lines = returns.return_lines(served, filters, within=within)
    st.markdown(f"**Return lines of {escape_markdown(whole)}**")
    if lines.height < lines["all_count"][0]:
        st.caption(f"The newest {lines.height:,} of {lines['all_count'][0]:,}.")
    rows = data_table(
        lines.drop("all_count"), name="return-lines", as_of=served.context.as_of_date, alt="Return lines, newest first",
        columns=("created_date", "order_id", "title", "reason", "returned_qty", "received_date", "refunded_date", "condition",
                 "is_exchange", "refund_reporting_amount"),
        labels=_LINE_LABELS | {"refund_reporting_amount": f"Refund ({served.context.currency_code})"},
        filters=filters.as_export() | {_NOUN[cut]: chosen}, definitions=_LINE_DEFINITIONS, selects="single-row",
    )  # fmt: skip
    for row in rows:
        _link_to_order(served, filters, row)


def _choose(cut: str, bar: Mapping[str, Any]) -> None:
    st.session_state[f"one_{_NOUN[cut]}"] = bar["member"]


def _link_to_order(served: Served, filters: Filters, row: dict[str, Any]) -> None:
    if row["order_id"] is None:
        st.caption("The source does not say which order this return undoes.")
    else:
        page_link(served, filters, "orders", f"Open the timeline of order {row['order_id']}", order=row["order_id"])


def _small(rows: pl.DataFrame) -> str:
    said = [f"{name} {format_sample(count)}" for name, count in rows.select("name", "n").drop_nulls().iter_rows()]
    return f"Few lines: {escape_markdown(', '.join(said))}." if said else ""
