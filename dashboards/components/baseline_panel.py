"""What metrics amounted to before a change, frozen, and what became of them 60 and 90 days after."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards import jobs
from dashboards.components.formats import escape_markdown, format_amount, format_change_of, format_count, format_date, format_units
from dashboards.components.job_panel import long_question
from dashboards.components.tables import data_table
from dashboards.queries import experiments as queries
from dashboards.queries import releases
from pipelines.errors import UnavailableError

if TYPE_CHECKING:
    from dashboards.queries.releases import Served

LENGTHS: Final = (60, 90)  # what `ordercast baseline review` looks at
FROZEN_DAYS: Final = 90
# A verdict as icon and word; a table tells it without colour.
WORDS: Final = {
    "better": "▲ Better", "worse": "▼ Worse", "same": "● About the same", "not_yet": "… Not yet", "not_compared": "- Not compared",
    "unknown": "? Unknown",
}  # fmt: skip
_LABELS: Final = {
    "label": "Metric", "before_said": "Before", "after_said": "After", "change_said": "Change", "n_after": "n", "said": "Verdict",
    "note": "What to know",
}  # fmt: skip


def baseline_panel(served: Served) -> None:
    """The chosen baseline's review; how one is frozen."""
    try:
        known = queries.frozen()
    except UnavailableError as exc:
        st.warning(
            f"Baselines stand in the operational store, and it does not answer: {escape_markdown(str(exc))}", icon=":material/cloud_off:"
        )
        return
    if known.is_empty():
        st.info(
            "**No baseline is frozen yet.** Freeze one before a change, so that nobody can argue afterwards about how it was.",
            icon=":material/ac_unit:",
        )
        _how_to_freeze(served, is_open=True)
        return
    name = st.selectbox("Baseline", known["name"].to_list(), bind="query-params", key="baseline")
    row = known.row(by_predicate=pl.col("name") == name, named=True)
    today = releases.now().date()
    st.caption(
        f"{format_count(row['metrics_count'], 'metric')} from {format_date(row['period_from'], today=today)} to "
        f"{format_date(row['period_to'], today=today)}, frozen on {format_date(row['frozen_at'].date(), today=today)} from release "
        f"{row['release_id']}; never written again."
    )
    asked = jobs.question(served, "baseline review", [("NAME", name)])
    found = long_question(asked, button="Review", name="baseline", note="Measures every metric over the 60 and 90 days after, about 10 s.")
    if found is not None:
        _review(served, queries.reviewed(found.content), name)
    _how_to_freeze(served, is_open=False)


def _review(served: Served, rows: pl.DataFrame, name: str) -> None:
    days = st.segmented_control(
        "Days after the baseline's end", LENGTHS, default=LENGTHS[0], format_func="{} days".format, required=True, bind="query-params",
        key="after",
    )  # fmt: skip
    told = rows.filter(pl.col("days") == days)
    st.markdown(f"**{escape_markdown(answer_title(told, days or LENGTHS[0]))}**")
    said = [_said(row) for row in told.iter_rows(named=True)]
    shown = told.with_columns(pl.DataFrame(said, schema=dict.fromkeys(("before_said", "after_said", "change_said", "said"), pl.String)))
    data_table(
        shown, name="baseline-review", as_of=served.context.as_of_date, alt="Every metric after the baseline, against it", labels=_LABELS,
        columns=("label", "said", "before_said", "after_said", "change_said", "n_after", "note"),
        filters={"baseline": name, "days": days},
        definitions={
            "said": "About the same: within the metric's watch band, or within 1 % where it has none.",
            "before": "A sum is that of as many of the baseline's days.",
        },
    )  # fmt: skip


def answer_title(rows: pl.DataFrame, days: int) -> str:
    """The answer: how many metrics are better, worse and the same, and how many have no verdict yet."""
    counts = {verdict: rows.filter(pl.col("verdict") == verdict).height for verdict in WORDS}
    judged = counts["better"] + counts["worse"] + counts["same"]
    rest = rows.height - judged
    if not judged:
        return f"No verdict {days} days after yet: " + (f"{format_units(rest)} metrics have to wait or cannot be compared" if rest else "-")
    return (
        f"{days} days after: {format_count(counts['better'], 'metric')} better, {counts['worse']:,} worse, "
        f"{counts['same']:,} about the same" + (f"; {rest:,} without a verdict" if rest else "")
    )


def _said(row: dict[str, Any]) -> dict[str, str]:
    unit, currency = row["unit"], row["currency_code"] or ""
    return {
        "before_said": format_amount(row["before"], unit, currency), "after_said": format_amount(row["after"], unit, currency),
        "change_said": format_change_of(row["change"], row["before"], unit) or "-", "said": WORDS.get(row["verdict"], row["verdict"]),
    }  # fmt: skip


def _how_to_freeze(served: Served, *, is_open: bool) -> None:
    last = served.context.as_of_date
    with st.expander("Freeze a baseline", icon=":material/ac_unit:", expanded=is_open):
        st.caption("On the command line: it measures every metric over the days that are given and writes them once.")
        st.code(f"ordercast baseline freeze before-the-change --from {last - timedelta(days=FROZEN_DAYS - 1)} --to {last}", language=None)
