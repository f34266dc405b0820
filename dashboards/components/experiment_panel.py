"""Experiments with their verdict: which metrics a variant changed, and which it is too early to speak of."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl
import streamlit as st

from dashboards import theme
from dashboards.components.charts import Layers, as_chart, chart_block, layered
from dashboards.components.formats import escape_markdown, format_amount, format_change_of, format_count, format_date, format_units
from dashboards.queries import experiments as queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from dashboards.queries.releases import Served
    from pipelines.stores.experiments import Experiment, MetricComparison

# A verdict as icon, word and colour, and what it means.
VERDICTS: Final = {
    "better": ("check_circle", "Better", "green", "The whole interval lies on the good side of no effect."),
    "worse": ("cancel", "Worse", "red", "The whole interval lies on the bad side of no effect."),
    "no_difference_shown": ("drag_handle", "No difference", "gray", "Larger effects than the one sought are ruled out either way."),
    "undecided": ("help", "Undecided", "orange", "The effect sought is neither shown nor ruled out."),
    "underpowered": ("hourglass_empty", "Too few", "orange", "Too few units to see the effect sought."),
}
_LEAST_P: Final = 0.001  # what is less is not worth its digits
_HELP: Final = (
    "The metric over the variant's units and, below, its difference from the control. A sum is what one unit brings. Metrics has the "
    "definition."
)
_ROW_PIXELS: Final = 44
_BY_METRIC: Final = ("unknown_value", "without_rows")  # reasons that differ from metric to metric
_LABELS: Final = {
    "label": "Metric", "verdict": "Verdict", "control_said": "Control", "value_said": "Variant", "effect_said": "Effect",
    "relative_effect_rate": "Of the control (%)", "relative_low_rate": "At least (%)", "relative_high_rate": "At most (%)",
    "p_value": "p", "n": "Units of the variant",
}  # fmt: skip

_DEFINITIONS: Final = {
    "verdict": " ".join(f"{word}: {meaning}" for _, word, _, meaning in VERDICTS.values()),
    "control_said": "The metric where nothing was changed.",
    "value_said": "The metric under the variant.",
    "effect_said": "The variant's value less the control's.",
    "relative_effect_rate": "The effect as a share of the control's value.",
    "relative_low_rate": "The lower end of its 95 % interval.",
    "relative_high_rate": "The upper end of its 95 % interval.",
    "p_value": "How likely chance alone makes an effect at least as large.",
    "n": "Orders or customers of the variant that the figure rests on.",
}


def experiment_panel(served: Served) -> None:
    """One experiment, judged on the chosen metrics."""
    known = queries.experiments(served)
    if not known:
        st.info(
            "**No experiment is running.** The source's table experiments says which order or customer was assigned to which variant; "
            "fill it, then run `ordercast run`.",
            icon=":material/science:",
        )
        return
    by_name = {one.experiment_id: one for one in known}
    labels = queries.comparable(served)
    usual = [name for name in queries.USUAL_METRICS if name in labels]
    left, right = st.columns([1, 2])
    chosen = left.selectbox("Experiment", list(by_name), bind="query-params", key="experiment")
    names = right.multiselect(
        "Compared on", list(labels), default=usual, format_func=labels.__getitem__, bind="query-params", key="compared"
    )
    _sizes(by_name[chosen], today=served.context.as_of_date)
    if not names:
        st.caption("Choose the metrics that the experiment was meant to move.")
        return
    if len(names) > len(usual):
        st.caption("The more metrics are looked at, the likelier one of them differs by chance: decide beforehand which one counts.")
    found, refused = queries.compared(served, chosen, names)
    _effects(served, found, chosen)
    _not_judged(found, refused, labels)


def _sizes(one: Experiment, *, today: date) -> None:
    units = ", ".join(f"{format_units(count)} in {escape_markdown(variant)}" for variant, count in one.units.items())
    kinds = " and ".join(f"{kind}s" for kind in one.unit_kinds)
    out = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in one.excluded.items() if count)
    since, until = (
        format_date(None if moment is None else datetime.fromisoformat(moment).date(), today=today)
        for moment in (one.first_assigned_at, one.last_assigned_at)
    )
    st.caption(f"Assigned {since} to {until}: {kinds}, {units}." + (f" Left out: {escape_markdown(out)}." if out else ""))


def _effects(served: Served, found: list[MetricComparison], name: str) -> None:
    effects = queries.effects(found)
    if effects.is_empty():
        return
    is_several = effects["variant"].n_unique() > 1
    said = [
        {
            "control_said": _amount(row, row["control_value"]), "value_said": _amount(row, row["value"]),
            "effect_said": format_change_of(row["effect"], row["control_value"], row["unit"]) or "-",
            "verdict": VERDICTS[row["verdict"]][1], "kind": row["verdict"],
            "bar": f"{row['label']} · {row['variant']}" if is_several else row["label"],
        }
        for row in effects.iter_rows(named=True)
    ]  # fmt: skip
    told = effects.drop("verdict").with_columns(pl.DataFrame(said))
    with st.grid(4, min_column_width=210, border=True) as grid:
        for row in told.iter_rows(named=True):
            with grid.cell():
                _card(row)
    chart_block(
        effect_chart(told), title=escape_markdown(answer_title(effects)), alt_text="Effect of the variant on each metric with its interval",
        frame=told.drop("kind", "bar"), name="experiment", as_of=served.context.as_of_date, labels=_LABELS, filters={"experiment": name},
        definitions=_DEFINITIONS,
        columns=("label", "variant", "verdict", "control_said", "value_said", "effect_said", "relative_effect_rate", "relative_low_rate",
                 "relative_high_rate", "p_value", "n"),
        caption="Effect as a share of the control's value, with its 95 % interval. What crosses the line may be chance. A sum is compared "
        "by what one unit brings.",
    )  # fmt: skip


def _card(row: Mapping[str, Any]) -> None:
    icon, word, color, meaning = VERDICTS[row["kind"]]
    st.metric(
        row["bar"], row["value_said"], delta=row["effect_said"], delta_color="off", delta_description=f"vs {row['control_said']}",
        help=_HELP,
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(word, icon=f":material/{icon}:", color=color, help=meaning)  # type: ignore[arg-type]
        if row["kind"] == "underpowered":
            st.caption(f"needs about {format_units(row['needed_per_variant'])} per variant")
        else:
            st.caption(f"p = {row['p_value']:.2g}" if row["p_value"] >= _LEAST_P else f"p < {_LEAST_P}")


def effect_chart(told: pl.DataFrame) -> Layers:
    """A dot and its interval per metric around a line at no effect; what differs is coloured, and says so in words."""
    drawn = told.drop_nulls("relative_effect_rate").select(
        "bar", "verdict", "kind", "relative_effect_rate", "relative_low_rate", "relative_high_rate"
    )
    base = as_chart(drawn)
    named = alt.Y("bar:N", sort=drawn["bar"].to_list(), title=None, axis=alt.Axis(labelLimit=220, grid=False))
    axis = alt.Axis(format="+.0%", tickCount=6)
    colors = alt.Scale(
        domain=["better", "worse", "no_difference_shown", "undecided", "underpowered"],
        range=[theme.INBOUND, theme.WARNING, theme.REFERENCE, theme.REFERENCE, theme.REFERENCE],
    )
    color = alt.Color("kind:N", scale=colors, legend=None)
    said = [alt.Tooltip("bar:N", title="Metric"), alt.Tooltip("verdict:N", title="Verdict")] + [
        alt.Tooltip(f"{name}:Q", title=title, format="+.1%")
        for name, title in (("relative_effect_rate", "Effect"), ("relative_low_rate", "At least"), ("relative_high_rate", "At most"))
    ]
    span = base.mark_rule(strokeWidth=3).encode(
        alt.X("relative_low_rate:Q", title="Change against the control", axis=axis), alt.X2("relative_high_rate:Q"), named, color,
        tooltip=said,
    )  # fmt: skip
    point = base.mark_point(filled=True, size=110, opacity=1).encode(alt.X("relative_effect_rate:Q"), named, color, tooltip=said)
    text = base.mark_text(dy=-12, fontSize=11).encode(alt.X("relative_effect_rate:Q"), named, color, text="verdict:N")
    none = alt.Chart(pl.DataFrame({"none": [0.0]})).mark_rule(color=theme.REFERENCE, strokeDash=[2, 3]).encode(x="none:Q")
    return layered([none, span, point, text], height=_ROW_PIXELS * drawn.height + 60)


def answer_title(effects: pl.DataFrame) -> str:
    """The answer: what got better and worse; else that nothing is shown to differ."""
    said = [
        f"{kind} on {' · '.join(names)}"
        for kind in ("better", "worse")
        if (names := effects.filter(pl.col("verdict") == kind)["label"].unique(maintain_order=True).to_list())
    ]
    if said:
        return f"{', '.join(effects['variant'].unique(maintain_order=True))} against {effects['control'][0]}: {', '.join(said)}"
    few = effects.filter(pl.col("verdict").is_in(["underpowered", "undecided"])).height
    return "No difference is shown" + (f", and on {format_count(few, 'metric')} it is too early to say" if few else "")


def _not_judged(found: list[MetricComparison], refused: dict[str, str], labels: Mapping[str, str]) -> None:
    """What was not judged, with the reason: a refusal is an answer."""
    reasons = [(one.label, one.note) for one in found if one.note] + [(labels[name], why) for name, why in refused.items()]
    by_reason: dict[str, list[str]] = {}
    for label, why in reasons:
        by_reason.setdefault(why, []).append(label)
    for why, names in by_reason.items():
        st.warning(f"**Not judged: {escape_markdown(', '.join(names))}.** {escape_markdown(why)}", icon=":material/gavel:")
    out = [
        f"{one.label} {count:,} {reason.replace('_', ' ')}"
        for one in found
        for reason, count in one.excluded.items()
        if count and reason in _BY_METRIC
    ]
    if out:
        st.caption(f"Units left out of a metric: {escape_markdown('; '.join(out))}.")


def _amount(row: Mapping[str, Any], value: float) -> str:
    if row["unit"] == "money" or row["unit"] == "count":
        return f"{row['currency_code'] or ''} {value:,.2f}".strip()  # what one unit brings, not a sum
    return format_amount(value, row["unit"], row["currency_code"] or "")
