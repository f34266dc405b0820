"""A scenario against how it is: what is supposed, what would be ordered then, and which items differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards import jobs
from dashboards.components.charts import bar_chart, chart_block
from dashboards.components.formats import escape_markdown, format_amount, format_change, format_count, format_money, format_units
from dashboards.components.job_panel import long_question
from dashboards.components.tables import data_table
from dashboards.pages import page_spec
from dashboards.queries import replay as queries
from dashboards.queries.names import member_names
from dashboards.queries.replay import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dashboards.jobs import Answered
    from dashboards.queries.releases import Served

_SHOWN_BEFORE: Final = 6
_CARD_PIXELS: Final = 200
_DEFINITIONS: Final = {
    "base": "As it is, without the scenario.",
    "scenario": "If it were as supposed.",
    "change": "What the scenario adds, or takes off below 0.",
    "base_qty": "Units that a run would suggest to order as it is.",
    "scenario_qty": "Units that it would suggest under the scenario.",
    "change_qty": "The second less the first.",
}
_HELP: Final = {
    "Items to order": "Purchase orders that a run would suggest, a line per item and location.",
    "Units to order": "Units of all those purchase orders, after minimums and packs.",
    "Cost of orders": "At the supplier's price.",
    "Loss expected if ordering waits": "Margin expected to be lost if nothing is ordered before the next review.",
    "Items likely to run out": "Items that more likely than not run out before an order of the next review could arrive.",
    "Items that cannot be ordered": "Not in any other figure, whatever they would lose: no supplier, no price, or stopped.",
}


def what_if_panel(served: Served) -> None:
    """The controls, bound to the address, and what they come to."""
    scenario = _controls(served)
    if scenario.is_as_it_is:
        st.info(
            "Suppose something: more demand, longer deliveries, a supplier that fails. Nothing is changed by it.", icon=":material/tune:"
        )
        _worked_out(served, None)
        return
    st.subheader(f"What if {escape_markdown(scenario.in_words(served))}?", anchor=False)
    asked = jobs.question(served, "what-if", scenario.options)
    found = long_question(asked, button="Compare", name="what-if", note="Plans the next orders both ways, about 20 s. Nothing is changed.")
    if found is not None:
        _answer(served, found)
    _worked_out(served, asked.key)


def _controls(served: Served) -> Scenario:
    with st.container(border=True), st.grid(3, min_column_width=_CARD_PIXELS) as grid:
        demand = grid.cell().number_input(
            "Demand (change in %)", -90.0, 300.0, 0.0, 5.0, format="%g", bind="query-params", key="demand",
            help="Of all demand, past and to come.",
        )  # fmt: skip
        lead_time = grid.cell().number_input(
            "Deliveries (change in days)", -60, 365, 0, 1, format="%d", bind="query-params", key="lead_time",
            help="Of every supplier's delivery.",
        )  # fmt: skip
        cost = grid.cell().number_input(
            "Suppliers' prices (change in %)", -90.0, 300.0, 0.0, 5.0, format="%g", bind="query-params", key="cost"
        )
        level = grid.cell().number_input(
            "Chance that stock lasts (%)", 50.1, 99.9, None, 1.0, format="%.1f", placeholder="As set", bind="query-params",
            key="service_level", help="In place of the setting and of every policy rule.",
        )  # fmt: skip
        fails = _member(grid, served, "supplier", "Supplier that fails", key="supplier_fails")
        closes = _member(grid, served, "location", "Location that closes", key="closes")
    return Scenario(demand or 0.0, lead_time or 0, cost or 0.0, level, fails, closes)


def _member(grid: Any, served: Served, dimension: str, label: str, *, key: str) -> str:
    names = member_names(served, dimension)
    chosen = grid.cell().selectbox(
        label, sorted(names, key=names.__getitem__), index=None, format_func=lambda one: names.get(one, one), placeholder="None",
        bind="query-params", key=key,
    )  # fmt: skip
    return chosen or ""


def _answer(served: Served, found: Answered) -> None:
    for side, name in (("base", "As it is"), ("changed", "If so")):
        if why_not := found.content[side]["not_available"]:
            st.warning(f"{name}, nothing can be ordered: {escape_markdown(why_not)}", icon=":material/block:")
    figures = queries.figures(found.content)
    st.markdown(f"**{escape_markdown(answer_title(figures))}**")
    with st.grid(3, min_column_width=_CARD_PIXELS, border=True) as grid:
        for row in figures.iter_rows(named=True):
            before = format_amount(row["base"], row["unit"], row["currency_code"] or "")
            changed = _change(row)
            grid.cell().metric(
                row["name"], format_amount(row["scenario"], row["unit"], row["currency_code"] or ""), delta=changed,
                delta_color="off", delta_arrow="auto" if row["change"] else "off", delta_description=f"from {before}",
                help=_HELP[row["name"]],
            )  # fmt: skip
    with st.expander("The same as a table", icon=":material/table:"):
        data_table(
            figures, name="what-if", as_of=served.context.as_of_date, alt="Scenario against how it is",
            labels={"name": "Figure", "base": "As it is", "scenario": "If so", "change": "Change", "currency_code": "Currency"},
            columns=("name", "currency_code", "base", "scenario", "change"), filters=jobs.as_filters(found.job),
            definitions=_DEFINITIONS,
        )  # fmt: skip
    _items(served, found)


def _items(served: Served, found: Answered) -> None:
    lines, gone = queries.differing(served, found.content), queries.newly_excluded(served, found.content)
    supposed = jobs.as_filters(found.job)
    if lines.height:
        chart_block(
            bar_chart(lines, value="scenario_qty", unit="count", member="item", compared="base_qty", unit_title="Units to order, if so"),
            title=escape_markdown(lines_title(lines)), alt_text="Units to order per item, if so and as it is", frame=lines,
            name="what-if-items", as_of=served.context.as_of_date, caption="The 15 items of most money; grey: as it is.",
            columns=("sku", "title", "location", "base_qty", "scenario_qty", "change_qty"),
            labels={"base_qty": "As it is (units)", "scenario_qty": "If so (units)", "change_qty": "Change (units)"},
            filters=supposed, definitions=_DEFINITIONS,
        )  # fmt: skip
    else:
        st.caption("No item would be ordered in another quantity.")
    if gone.height:
        st.markdown(
            f"**{format_count(gone.height, 'item')} could not be ordered any more, and no figure above holds what they would lose**"
        )
        data_table(
            gone, name="what-if-excluded", as_of=served.context.as_of_date, alt="Items that could not be ordered any more, with the reason",
            columns=("sku", "title", "location", "reason"), filters=supposed,
            definitions={"reason": "Why it could not be ordered under the scenario."},
        )  # fmt: skip


def answer_title(figures: pl.DataFrame) -> str:
    """The answer: how many more items and how much more money, and what is likely to run out."""
    named = {row["name"]: row for row in figures.iter_rows(named=True)}
    items, risk = named["Items to order"], named["Items likely to run out"]
    money = [
        f"{format_money(abs(row['change']), row['currency_code'])} {'more' if row['change'] > 0 else 'less'}"
        for row in figures.filter(pl.col("name") == "Cost of orders").iter_rows(named=True)
        if round(row["change"])
    ]
    said = [f"{format_units(abs(items['change']))} {'more' if items['change'] > 0 else 'fewer'} items to order"] if items["change"] else []
    said += [f"orders cost {' and '.join(money)}"] if money else []
    if risk["change"]:
        said.append(f"{format_units(abs(risk['change']))} {'more' if risk['change'] > 0 else 'fewer'} are likely to run out")
    excluded = named["Items that cannot be ordered"]["change"]
    if excluded:
        said.append(f"{format_units(abs(excluded))} {'more' if excluded > 0 else 'fewer'} cannot be ordered at all")
    text = ", ".join(said) or "Nothing changes"
    return f"{text[:1].upper()}{text[1:]}"


def lines_title(lines: pl.DataFrame) -> str:
    """The answer: how many items differ, and which way."""
    more, fewer = (lines.filter(pl.col("change_qty") * sign > 0).height for sign in (1, -1))
    return f"{format_count(lines.height, 'item')} differ: more of {more:,}, less of {fewer:,}" if lines.height > 1 else "One item differs"


def _change(row: Mapping[str, Any]) -> str | None:
    if not row["change"]:
        return "no change"
    if row["unit"] == "money":
        return format_change(100 * row["change"] / row["base"], "%") if row["base"] else None
    return f"{row['change']:+,.0f}"


def _worked_out(served: Served, shown: str | None) -> None:
    """Links to scenarios of this release that somebody has worked out."""
    others = [job for job in jobs.answered(served, "what-if") if job.key != shown][:_SHOWN_BEFORE]
    if not others:
        return
    with st.expander(f"{format_count(len(others), 'other scenario')} worked out for this release", icon=":material/history:"):
        for job in others:
            options = jobs.options_of(job)
            words = queries.scenario_of(options).in_words(served)
            st.page_link(
                page_spec("replay").path, label=escape_markdown(f"{words[:1].upper()}{words[1:]}"), icon=":material/arrow_forward:",
                query_params=queries.scenario_of(options).address(served),
            )  # fmt: skip
