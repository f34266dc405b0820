"""How right such alerts were: on past days that were held out, beside plain rules, and of alerts that were raised for real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import HEIGHT, as_chart, chart_block, layered
from dashboards.components.formats import escape_markdown, format_count, format_date
from dashboards.components.tables import data_table
from dashboards.queries.exceptions import KIND_NAMES, ORDER_KIND, past_alerts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from dashboards.components.charts import Layers
    from dashboards.queries.at_risk import AtRisk
    from pipelines.alerts.verdicts import RulePrecision

_PROMISES: Final = {"ship": "to leave by a day", "delivery": "to arrive by a day"}
_RULES: Final = {"due_soon": "Due by tomorrow", "due_soon_unreleased": "Due by tomorrow, not released"}
_COLUMNS: Final = (
    "promise",
    "said",
    "alerts_count",
    "hits_count",
    "precision_rate",
    "recall_rate",
    "lead_p50_hours",
    "value_per_100_orders",
)
_DEFINITIONS: Final = {
    "promise": "What was promised: to leave, or to arrive, by a day.",
    "said": "What an order is named by: its probability, or a plain rule that needs none.",
    "alerts_count": "Orders named, each on its first evening.",
    "hits_count": "Those of them that missed their promise.",
    "precision_rate": "Right over named.",
    "recall_rate": "Right over all that missed.",
    "lead_p50_hours": "Median hours from the alert to the end of the promised day, of those that missed.",
    "value_per_100_orders": "In looks per 100 orders, assuming that a promise kept is worth five and every second look keeps one.",
}  # fmt: skip
_LABELS: Final = {
    "promise": "Promise", "said": "Named by", "alerts_count": "Named", "hits_count": "Right", "precision_rate": "Precision (%)",
    "recall_rate": "Recall (%)", "lead_p50_hours": "Hours ahead", "value_per_100_orders": "Worth per 100",
}  # fmt: skip
_CALIBRATION: Final = {
    "said_rate": "Mean probability that was said, by band.", "missed_rate": "Share of them that missed.",
    "snapshots_count": "Evenings of orders in the band.", "band_from": "The band begins here.", "band_until": "And ends here.",
}  # fmt: skip
_BAND_LABELS: Final = {
    "band_from": "From", "band_until": "Until", "snapshots_count": "Evenings", "said_rate": "Said (%)", "missed_rate": "Missed (%)",
}  # fmt: skip
_PAST: Final = {
    "rule_id": "The rule.", "kind": "Its kind.", "alerts": "Alerts raised, all that are on record.", "open": "Those that stand.",
    "right": "What was named came about; where only a person can say, it was put right.",
    "wrong": "It did not come about, or a person called it a false alarm.",
    "averted": "It did not come about after a person had acknowledged or settled it, which speaks for neither side.",
    "precision_rate": "Right over right and wrong; blank where none is judged.",
    "lead_days_p50": "Median days of the data between the alert and what came about.",
}  # fmt: skip
_PAST_LABELS: Final = {
    "rule_id": "Rule", "kind": "Kind", "alerts": "Raised", "open": "Open", "right": "Right", "wrong": "Wrong", "averted": "Averted",
    "precision_rate": "Precision (%)", "lead_days_p50": "Days ahead",
}  # fmt: skip


def show_held_out(found: AtRisk, *, as_of: date) -> None:
    """Precision, recall and lead time on days held out, and what was said beside what came, by kind of promise."""
    st.subheader("On days held out", anchor=False)
    kinds = [kind for kind in _PROMISES if found.totals(kind).height]
    if not kinds:
        st.caption("None: not enough promises have come due to hold days out.")
        return
    for kind in kinds:
        st.markdown(_counted(found, kind, as_of=as_of))
    data_table(
        pl.concat([_in_words(found, kind) for kind in kinds]), name="held-out", as_of=as_of, columns=_COLUMNS, labels=_LABELS,
        alt="How right alerts about each kind of promise would have been", filters={}, definitions=_DEFINITIONS,
    )  # fmt: skip
    for column, kind in zip(st.columns(len(kinds), gap="large"), kinds, strict=True):
        with column:
            _show_calibration(found, kind, as_of=as_of)
    st.caption(
        "Each of these days was judged by a model that knew only promises that had come due before. An alert is an order's first evening "
        "over the threshold."
    )


def show_past_alerts(*, as_of: date) -> None:
    """How often alerts that were raised for real were right; an honest word where none has come due."""
    st.subheader("Of alerts raised for real", anchor=False)
    rules = past_alerts()
    st.markdown(f"**{escape_markdown(past_words(rules))}**")
    if not rules:
        return
    rows = pl.DataFrame(
        [
            (one.rule_id, KIND_NAMES.get(one.kind, one.kind), one.alerts, one.open, one.right, one.wrong, one.averted, one.precision_rate,
             one.lead_days_p50) for one in rules
        ],
        schema={
            "rule_id": pl.String, "kind": pl.String, "alerts": pl.Int64, "open": pl.Int64, "right": pl.Int64, "wrong": pl.Int64,
            "averted": pl.Int64, "precision_rate": pl.Float64, "lead_days_p50": pl.Float64,
        }, orient="row",
    )  # fmt: skip
    data_table(
        rows, name="past-alerts", as_of=as_of, alt="How often each rule was right", labels=_PAST_LABELS, filters={}, definitions=_PAST
    )
    st.caption(
        "Orders and items are judged by the data once the day that was named has passed: what did not come about was wrong, or averted if "
        "somebody had acknowledged it. All other kinds are judged by how people resolved them, and not if they recovered by themselves."
    )


def past_words(rules: Sequence[RulePrecision]) -> str:
    """How right alerts about orders were, in a sentence."""
    ours = [one for one in rules if one.kind == ORDER_KIND]
    raised = sum(one.alerts for one in ours)
    right, judged = sum(one.right for one in ours), sum(one.right + one.wrong for one in ours)
    if not raised:
        return "No order has been named at risk yet."
    if not judged:
        return f"No alert about an order has come due yet: {raised:,} raised, none judged."
    averted = sum(one.averted for one in ours)
    also = f", and {averted:,} did not come about after somebody had acknowledged or settled them" if averted else ""
    return f"{right:,} of {judged:,} alerts about orders were right ({right / judged:.0%}), of {raised:,} raised{also}.".replace("%", " %")


def _counted(found: AtRisk, kind: str, *, as_of: date) -> str:
    first, span = found.totals(kind).row(0, named=True), found.held_out(kind)
    period = "" if span is None else f", {format_date(span[0], today=as_of)} to {format_date(span[1], today=as_of)}"
    due = format_count(first["orders_count"], "order")
    return f"**Promises {_PROMISES[kind]}**: {due} due{period}, {first['missed_orders_count']:,} missed"


def _in_words(found: AtRisk, kind: str) -> pl.DataFrame:
    totals = found.totals(kind)
    said = [
        f"Probability {row['threshold']:.0%} or more".replace("%", " %") if row["rule"] == "model" else _RULES.get(row["rule"], row["rule"])
        for row in totals.iter_rows(named=True)
    ]
    return totals.with_columns(pl.lit(_PROMISES[kind].capitalize()).alias("promise"), pl.Series("said", said, dtype=pl.String))


def _show_calibration(found: AtRisk, kind: str, *, as_of: date) -> None:
    bands = found.calibration.filter((pl.col("promise_kind") == kind) & (pl.col("snapshots_count") > 0))
    if bands.is_empty():
        return
    chart_block(
        calibration_chart(bands), title=f"Promises {_PROMISES[kind]}: {calibration_title(bands)}", frame=bands,
        alt_text=f"What was said and what came, promises {_PROMISES[kind]}", name=f"calibration-{kind}", as_of=as_of,
        filters={"promise": kind}, definitions=_CALIBRATION,
        caption="Each dot is a band of probabilities, larger where it holds more evenings. On the line, what was said is what came.",
        columns=("band_from", "band_until", "snapshots_count", "said_rate", "missed_rate"), labels=_BAND_LABELS,
    )  # fmt: skip


def calibration_title(bands: pl.DataFrame) -> str:
    """The answer in words: how far what came lies from what was said, over all bands."""
    off = bands.select(
        ((pl.col("said_rate") - pl.col("missed_rate")).abs() * pl.col("snapshots_count")).sum() / pl.col("snapshots_count").sum()
    )
    return f"what was said is {100 * float(off.item()):.1f} pp off what came, in the mean of {bands['snapshots_count'].sum():,} evenings"


def calibration_chart(bands: pl.DataFrame) -> Layers:
    """A dot for each band, what was said from left to right and what came upwards, over the line on which they agree."""
    axis, scale = alt.Axis(format="%", tickCount=5), alt.Scale(domain=[0, 1])
    said = alt.X("said_rate:Q", title="Said", axis=axis, scale=scale)
    came = alt.Y("missed_rate:Q", title="Missed", axis=axis, scale=scale)
    line = as_chart(pl.DataFrame({"said_rate": [0.0, 1.0], "missed_rate": [0.0, 1.0]})).mark_line(color=theme.REFERENCE, strokeDash=[4, 3])
    told = [
        alt.Tooltip("said_rate:Q", format=".1%", title="Said"), alt.Tooltip("missed_rate:Q", format=".1%", title="Missed"),
        alt.Tooltip("snapshots_count:Q", format=",", title="Evenings"),
    ]  # fmt: skip
    size = alt.Size("snapshots_count:Q", scale=alt.Scale(type="log", range=[60, 320]), legend=None)
    dots = as_chart(bands).mark_point(color=theme.ACCENT, filled=True, opacity=1).encode(said, came, size=size, tooltip=told)
    return layered([line.encode(said, came), dots], height=HEIGHT)
