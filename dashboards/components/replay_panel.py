"""What past weeks would have cost under each policy: cost against fill rate, the figures, what is left out, and the way to a rule."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import altair as alt
import polars as pl
import streamlit as st

from dashboards import jobs, theme
from dashboards.components.charts import Layers, as_chart, draw, layered
from dashboards.components.formats import (
    escape_markdown,
    format_change,
    format_count,
    format_date,
    format_money,
    format_percent,
    format_units,
)
from dashboards.components.job_panel import long_question
from dashboards.components.links import page_link
from dashboards.components.tables import data_table
from dashboards.queries import releases
from dashboards.queries import replay as queries
from dashboards.queries.names import offered
from dashboards.queries.replay import POLICY_NAMES, RULE_SETTINGS, USUAL_POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.filters import Filters
    from dashboards.jobs import Answered, Question
    from dashboards.queries.releases import Served

YEAR_WEEKS: Final = 52  # what the command looks at by itself
WEEKS: Final = (13, 26, YEAR_WEEKS)
HEIGHT: Final = 380
_ALIGNS: Final[tuple[Literal["left", "center", "right"], ...]] = ("left", "center", "right")
DEFINITIONS: Final = {
    "cost_amount": "Holding and lost margin together.",
    "holding_amount": "Units left at the ends of weeks, at each item's cost of holding one for a week.",
    "lost_margin_amount": "Units that were wanted and not there, at their margin.",
    "fill_rate": "Share of units that were there when they were wanted.",
    "stock_value_amount": "Mean stock at the ends of weeks, at unit cost.",
    "orders_count": "Order lines.",
    "cost_change_amount": "Cost less that of ordering as now.",
    "cost_at_low_demand_amount": "Had nothing more been wanted in weeks without stock than was sold.",
    "cost_at_high_demand_amount": "Had much more been wanted in weeks without stock; that may cost less.",
}
_LABELS: Final = {
    "name": "Policy", "cost_amount": "Cost", "cost_change_amount": "Against now", "holding_amount": "Holding",
    "lost_margin_amount": "Lost margin", "stock_value_amount": "Mean stock value", "orders_count": "Order lines",
    "cost_at_low_demand_amount": "Cost, if only what was sold was wanted", "cost_at_high_demand_amount": "Cost, if much more was wanted",
}  # fmt: skip
_SHOWN: Final = (
    "name", "cost_amount", "cost_change_amount", "fill_rate", "holding_amount", "lost_margin_amount", "stock_value_amount", "orders_count",
    "cost_at_low_demand_amount", "cost_at_high_demand_amount",
)  # fmt: skip


def replay_panel(served: Served, filters: Filters) -> None:
    """What is lived through again, and what came of it."""
    asked = _asked(served)
    found = long_question(
        asked, button="Replay", name="replay",
        note="Lives through every week again under each policy; a year of all items can take half an hour. Nothing is changed.",
    )  # fmt: skip
    if found is not None:
        _answer(served, filters, found)


def _asked(served: Served) -> Question:
    with st.container(border=True):
        with st.grid(3, min_column_width=240) as grid:
            weeks = grid.cell().segmented_control(
                "Weeks", WEEKS, default=YEAR_WEEKS, format_func=lambda count: "A year" if count == YEAR_WEEKS else f"{count} weeks",
                required=True, bind="query-params", key="weeks",
            )  # fmt: skip
            with grid.cell():
                place = _member(served, "location", "At location", key="replay_location")
            with grid.cell():
                category = _member(served, "category", "Of category", key="replay_category")
        chosen = st.multiselect(
            "Policies", list(POLICY_NAMES), default=list(USUAL_POLICIES), format_func=POLICY_NAMES.__getitem__, bind="query-params",
            key="policies",
        )  # fmt: skip
    options = [("--from", _first_day(served, weeks).isoformat())] if weeks and weeks != YEAR_WEEKS else []
    if set(chosen) != set(USUAL_POLICIES) and chosen:
        options.append(("--policies", ",".join(name for name in POLICY_NAMES if name in chosen)))
    options += [(name, value) for name, value in (("--category", category), ("--location", place)) if value]
    return jobs.question(served, "replay", options)


def _first_day(served: Served, weeks: int) -> date:
    return served.context.as_of_date - timedelta(weeks=weeks)


def _member(served: Served, dimension: str, label: str, *, key: str) -> str:
    names = offered(served, dimension)
    chosen = st.selectbox(
        label, list(names), index=None, format_func=lambda one: names.get(one, one), placeholder="All", bind="query-params", key=key
    )
    return chosen or ""


def _answer(served: Served, filters: Filters, found: Answered) -> None:
    answer = found.content
    policies, currency = queries.policies(answer), answer["currency_code"]
    st.caption(_weeks_words(answer))
    if policies.is_empty():
        st.info("Nothing was replayed.", icon=":material/info:")
        return
    st.markdown(f"**{escape_markdown(answer_title(policies, currency))}**")
    draw(cost_chart(policies, currency), alt_text="Cost against fill rate for each policy; the table below has the same")
    st.caption(
        "Right and down is better. The dashed line joins policies that no other beats in both; a bar shows the cost at less and at more "
        "demand in weeks without stock. Perfect foresight knows all demand to come: nobody can be better, apart from packs."
    )
    data_table(
        policies.with_columns(pl.lit(currency).alias("currency_code")), name="replay", as_of=served.context.as_of_date,
        alt="What past weeks would have cost under each policy", columns=_SHOWN, labels=priced(currency), definitions=DEFINITIONS,
        filters=jobs.as_filters(found.job),
    )  # fmt: skip
    _how_sure(answer)
    _left_out(served, found)
    _choose(served, filters, policies, currency)


def cost_chart(policies: pl.DataFrame, currency: str) -> Layers:
    """Each policy by fill rate and cost: as now a diamond, the bound hollow, those that no other beats joined by a line."""
    drawn, domain = _placed(policies.drop_nulls("fill_rate"))
    base = as_chart(drawn)
    rate = alt.X("fill_rate:Q", title="Fill rate", scale=alt.Scale(domain=domain, nice=False), axis=alt.Axis(format="%", tickCount=6))
    scale = alt.Scale(zero=False, padding=30)
    cost = alt.Y("cost_amount:Q", title=f"Cost ({currency})", scale=scale, axis=alt.Axis(format=",.0f", tickCount=6))
    said = [
        alt.Tooltip("name:N", title="Policy"), alt.Tooltip("cost_amount:Q", title=f"Cost ({currency})", format=",.0f"),
        alt.Tooltip("fill_rate:Q", title="Fill rate", format=".1%"), alt.Tooltip("orders_count:Q", title="Order lines", format=",.0f"),
    ]  # fmt: skip
    line = base.transform_filter("datum.is_best").mark_line(color=theme.REFERENCE, strokeDash=[4, 3], strokeWidth=1.5)
    span = base.mark_rule(color=theme.REFERENCE, strokeWidth=2, opacity=0.5)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=["Now", "Policy", "Bound"], range=["diamond", "circle", "triangle-up"]), legend=None)
    color = alt.Color(
        "kind:N", scale=alt.Scale(domain=["Now", "Policy", "Bound"], range=[theme.WARNING, theme.ACCENT, theme.REFERENCE]), legend=None
    )
    point = base.mark_point(filled=True, size=160, opacity=1).encode(rate, cost, shape=shape, color=color, tooltip=said)
    names = [
        base.transform_filter(f"datum.label == '{above}{align}'")
        .mark_text(align=align, dx={"left": 9, "right": -9, "center": 0}[align], dy=dy, fontSize=12)
        .encode(rate, cost, text="name:N", color=color)
        for above, dy in (("above", -16), ("below", 18))
        for align in _ALIGNS
    ]
    layers: list[alt.Chart] = [
        line.encode(rate, cost, order="fill_rate:Q"),
        span.encode(rate, alt.Y("cost_at_low_demand_amount:Q", scale=scale), alt.Y2("cost_at_high_demand_amount:Q")),
        point,
        *names,
    ]
    return layered(layers, height=HEIGHT)


def _placed(known: pl.DataFrame) -> tuple[pl.DataFrame, list[float]]:
    """The policies with where their names stand: neighbours above and below each other, none beyond the edge; and the rates drawn."""
    least, most = (known.select(end).item() for end in (pl.col("fill_rate").min(), pl.col("fill_rate").max()))
    margin = max(0.25 * ((most or 0.0) - (least or 0.0)), 0.005)
    domain = [max(0.0, (least or 0.0) - margin), min(1.0, (most or 0.0) + margin)]
    place = (pl.col("fill_rate") - domain[0]) / (domain[1] - domain[0])
    drawn = known.select(
        "name", "fill_rate", "cost_amount", "cost_at_low_demand_amount", "cost_at_high_demand_amount", "orders_count", "is_best",
        label=pl.when(pl.col("fill_rate").rank("ordinal") % 2 == 0).then(pl.lit("above")).otherwise(pl.lit("below"))
        + pl.when(place > 0.8).then(pl.lit("right")).when(place < 0.2).then(pl.lit("left")).otherwise(pl.lit("center")),
        kind=pl.when("is_current").then(pl.lit("Now")).when("is_bound").then(pl.lit("Bound")).otherwise(pl.lit("Policy")),
    )  # fmt: skip
    return drawn, domain


def answer_title(policies: pl.DataFrame, currency: str) -> str:
    """The answer: which policy is cheapest, and what that means against ordering as now."""
    real = policies.filter(~pl.col("is_bound"))
    if real.is_empty():
        return f"Perfect foresight would have cost {format_money(policies['cost_amount'][0], currency)}"
    best = real.row(0, named=True)
    text = f"{best['name']} would have cost least, {format_money(best['cost_amount'], currency)}"
    if best["is_current"]:
        return f"{text}: none of the others is cheaper"
    if best["cost_change_amount"] is None:
        return text
    rate = best["fill_change_rate"]
    told = "" if rate is None else f", at a fill rate {format_change(rate * 100, 'pp')}"
    return f"{text}: {format_money(-best['cost_change_amount'], currency)} less than as now{told}"


def _weeks_words(answer: Mapping[str, Any]) -> str:
    first, last = (format_date(date.fromisoformat(answer[name]), today=releases.now().date()) for name in ("from", "to"))
    return (
        f"{format_count(answer['items_count'], 'item')}, {format_count(answer['weeks_count'], 'week')} from {first} to {last}, "
        f"{format_count(len(answer['left_out']), 'item')} left out (below)."
    )


def _how_sure(answer: Mapping[str, Any]) -> None:
    """What rests on estimates, before anybody chooses by it."""
    estimated = answer["estimated_rate"]
    said = (
        f"{format_percent(estimated)} of the units are an estimate of what was wanted in weeks mostly without stock. " if estimated else ""
    )
    st.caption(
        f"{said}In whole weeks: a day's stock-out within a week is not seen, and lead times are rounded up. "
        "All policies begin with the same stock and nothing on its way; overrides, budgets, supplier minimums and transfers are in none."
    )


def _left_out(served: Served, found: Answered) -> None:
    reasons = queries.left_out(found.content)
    if reasons.is_empty():
        st.caption("No item is left out.")
        return
    with st.expander(f"{format_count(len(found.content['left_out']), 'item')} left out, and why", icon=":material/filter_list_off:"):
        data_table(
            reasons, name="replay-left-out", as_of=served.context.as_of_date, alt="Why items are not in the replay",
            labels={"items_count": st.column_config.NumberColumn("Items", width=70), "reason": "Reason"}, columns=("items_count", "reason"),
            filters=jobs.as_filters(found.job), definitions={"reason": "Why, with one example where numbers or days differ."},
        )  # fmt: skip


def _choose(served: Served, filters: Filters, policies: pl.DataFrame, currency: str) -> None:
    """From a policy to the rule that makes runs order like it."""
    rows = {row["policy"]: row for row in policies.filter(~pl.col("is_current") & ~pl.col("is_bound")).iter_rows(named=True)}
    if not rows:
        return
    st.subheader("Choose a policy", anchor=False)
    policy = st.selectbox("Order from now on by", list(rows), format_func=POLICY_NAMES.__getitem__, key="chosen-policy")
    row = rows[policy]
    if row["cost_change_amount"] is not None:
        st.markdown(
            f"Over these weeks {escape_markdown(format_money(abs(row['cost_change_amount']), currency))} "
            f"{'less' if row['cost_change_amount'] < 0 else 'more'} than as now, fill rate "
            f"{escape_markdown(format_change((row['fill_change_rate'] or 0.0) * 100, 'pp'))}, mean stock "
            f"{escape_markdown(format_money(row['stock_value_amount'], currency))}, {format_units(row['orders_count'])} order lines."
        )
    if policy not in RULE_SETTINGS:
        st.caption(
            "No single policy rule does this: its quantities differ by item. Set minimum, maximum or cover by rules for the items meant."
        )
    else:
        st.caption("The nearest that one policy rule sets; an admin adds it. Preview it first: it says how many items and orders change.")
        setting = f"--set {RULE_SETTINGS[policy]}"
        reason = f'--reason "Replay of {served.context.as_of_date}"'
        st.code(f"ordercast rules preview {setting} --orders\nordercast rules add {policy}-for-all {setting} {reason}", language=None)
    page_link(served, filters, "allocation", "Preview, schedule and revert policy rules", icon="rule_settings")


def priced(currency: str) -> dict[str, str]:
    """Headings of a replay's columns, with the currency of its amounts."""
    return {name: f"{label} ({currency})" if name.endswith("_amount") else label for name, label in _LABELS.items()}
