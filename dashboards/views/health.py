"""Can I trust what I see?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.components.demand_accuracy import CHECK_NAMES
from dashboards.components.formats import escape_markdown, format_age, format_count, format_date, format_percent
from dashboards.components.frame import show_page
from dashboards.components.health_words import HEALTH_WORDS
from dashboards.components.release_list import release_list
from dashboards.components.states import errors_as_sentences, show_store_problem
from dashboards.components.tables import data_table, report_table
from dashboards.components.verdicts import verdict_cards, verdicts
from dashboards.queries import health, operations, releases
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.filters import Filters
    from dashboards.queries.health import Trust
    from dashboards.queries.operations import Operations
    from dashboards.queries.releases import Served

ORIGINS: Final = {
    "arrival": "What arrived (Great Expectations)", "derived": "What was derived (dbt)", "reconcile": "What was compared with the store",
    "forecast": "Forecasts",
}  # fmt: skip
_DAY_FIGURES: Final = {"value": "On the day", "usual": "Usual", "low": "Usual from", "high": "Usual to"}  # counts and small indices
PARTS: Final = ("Sources", "Quarantine", "Checks", "Reconciliation", "Forecasts", "Releases and runs", "Use")


def page(served: Served, filters: Filters) -> None:  # noqa: ARG001 - trust is not narrowed
    """The page's content."""
    now = releases.now()
    found = health.trust(served, now=now)
    store = operations.operations(served, now=now)
    verdict_cards(verdicts(found, store))
    part = st.segmented_control("About", PARTS, default=PARTS[0], required=True, bind="query-params", key="about")
    with errors_as_sentences("This part"):
        match part:
            case "Quarantine":
                show_quarantine(served, found)
            case "Checks":
                show_checks(served, found)
            case "Reconciliation":
                show_reconciliation(served, found)
            case "Forecasts":
                show_forecasts(served, found)
            case "Releases and runs":
                release_list(served, health.kept_releases(served))
                show_store_problem(store.problem)
                show_runs(served, store)
            case "Use":
                show_store_problem(store.problem)
                show_use(served, store)
            case _:
                show_sources(served, found)


def show_sources(served: Served, found: Trust) -> None:
    """When each source changed last and when it was read, and what became of its rows in the run that published."""
    if found.sources.is_empty():
        st.info("No source table has been read yet. Run `ordercast run`.", icon=":material/inbox:")
        return
    oldest = found.sources.sort("read_at").row(0, named=True)
    age = format_age(releases.now() - served.release.published_time)
    newest = f" The newest change was {format_age(found.changed_age)} old when read." if found.changed_age else ""
    st.markdown(
        f"**Read longest ago: {escape_markdown(oldest['table_name'])}, {oldest['age_hours']:,.1f} hours; the release: {age}.{newest}**"
    )
    _table(
        served, found.sources, "Source tables with their age and what became of their rows",
        ("table_name", "changed_at", "read_at", "age_hours", "is_late", "rows_in", "rows_loaded", "rows_quarantined", "rows_duplicate",
         "rows_deleted"),
        {"table_name": "Source table", "changed_at": "Changed last in the source", "read_at": "Read at", "age_hours": "Hours since read",
         "is_late": "Read late", "rows_in": "Rows read", "rows_loaded": "Loaded", "rows_quarantined": "Held back",
         "rows_duplicate": "Duplicates", "rows_deleted": "Deleted"},
    )  # fmt: skip
    st.caption(
        f"Read late is over {health.LATE_HOURS} hours ago; what seldom changes in the source, such as locations, is not late for it. "
        "Rows are those of the run that published: only what changed since the run before is read, so rows read = loaded + held back + "
        "duplicates."
    )
    if found.warned_count:
        st.markdown(f"**Taken although it looks wrong: {format_count(found.warned_count, 'row')}**")
        _table(served, found.warnings, "What was taken with a warning", (), {"rows_count": "Rows", "example_key": "For example"})


def show_quarantine(served: Served, found: Trust) -> None:
    """What was held back, why, and what to do about it; what blocked publishing."""
    if found.holds.height:
        st.markdown(f"**{format_count(found.open_holds_count, 'block')} of publishing not accepted yet, of {found.holds.height:,}**")
        _table(served, found.holds, "What blocked publishing", (), {"is_accepted": "Accepted", "measured_count": "Found"})
    if found.quarantined is None:
        st.info("This release was published before releases listed what is held back; run `ordercast quarantine`.", icon=":material/block:")
        return
    if found.quarantined.is_empty():
        st.success("Nothing is held back: every document that arrived was loaded.", icon=":material/check_circle:")
        return
    table, count = found.held_most
    st.markdown(f"**{format_count(found.quarantined.height, 'row')} held back, most in {escape_markdown(table)} ({count:,})**")
    _table(
        served, found.quarantined, "Rows held back, with reason and next step",
        ("code", "table_name", "document_id", "reason", "next_step", "first_run_id"),
        {"table_name": "Source table", "document_id": "Document", "reason": st.column_config.TextColumn("Why", width="large"),
         "next_step": st.column_config.TextColumn("What to do", width="large"), "first_run_id": "Since run"}, lines=2,
    )  # fmt: skip
    st.caption(
        "The values that arrived are not in a release: `ordercast quarantine show DOCUMENT` has them, `quarantine mend` corrects one."
    )


def show_checks(served: Served, found: Trust) -> None:
    """Checks by what they guard, failed ones first."""
    if found.checks.is_empty():
        st.info("No check has run yet. Run `ordercast run`.", icon=":material/inbox:")
        return
    st.markdown(f"**{found.failed_checks_count:,} of {found.checks_count:,} checks failed**")
    by_origin = found.checks_by_origin.with_columns(pl.col("origin").replace(ORIGINS))
    _table(served, by_origin, "Checks by what they guard", (), {"origin": "What is checked"})
    with st.expander("Every subject", icon=":material/table:"):
        _table(served, found.checks, "Checks per subject", (), {})
    _show_newest_day(served)


def _show_newest_day(served: Served) -> None:
    """Whether the newest day looks like the weeks before it; nothing where the release does not say."""
    looks = health.day_checks(served)
    if looks is None or looks.is_empty():
        return
    unusual = looks.filter(~pl.col("is_usual")).height
    day = format_date(served.context.as_of_date, today=served.context.as_of_date)
    said = f"{unusual:,} of {looks.height:,} looks are unusual" if unusual else f"all {looks.height:,} looks are as usual or say nothing"
    st.markdown(f"**The newest day, {day}, beside the weeks before it: {said}**")
    figures: dict[str, object] = {name: st.column_config.NumberColumn(label, format="localized") for name, label in _DAY_FIGURES.items()}
    words = {"subject": "Rows of", "measure": "Looked at", "is_usual": "As usual", "basis": "Compared with"}
    _table(served, looks, "Newest day beside the weeks before", (), figures | words)
    st.caption(
        "Rows are counted. The spread of rows over a field is compared by an index: 0 is no change. Nothing is held back because of it."
    )


def show_reconciliation(served: Served, found: Trust) -> None:
    """Where order system, stock and finance disagree, and what the change feed had missed."""
    if found.compared_count:
        rate = format_percent(found.agreeing_rate)
        st.markdown(f"**{found.differing_count:,} of {found.compared_count:,} comparisons differ; {rate} agree**")
        _table(served, found.reconciled, "Comparisons by rule", (), {"rule": "What is compared"})
    report_table(report(served, "reconciliation"), served, empty="No difference to list.")
    if found.incidents.height:
        st.markdown("**What the change feed had missed, found by comparing and read again**")
        _table(served, found.incidents, "What the change feed had missed", (), {})
    else:
        st.caption("The change feed has missed nothing that a comparison with the store found.")


def show_forecasts(served: Served, found: Trust) -> None:
    """Whether forecasts broke, which series are on a fallback, and which have none."""
    if found.broken.height:
        reasons = escape_markdown(" ".join(found.broken["reason"].drop_nulls()))
        st.warning(f"**Suggestions are withheld.** {reasons}", icon=":material/warning:")
    st.markdown(f"**{found.series_count:,} series are forecast, {found.fallback_count:,} of them on a fallback**")
    _table(
        served, found.forecast_checks.with_columns(pl.col("check_name").replace(CHECK_NAMES)), "Checks of the forecasts",
        (), {"check_name": "Check",
         "is_passed": "Passed", "measured_rate": "Now (%)", "usual_rate": "Usual (%)", "limit_rate": "Limit (%)"},
    )  # fmt: skip
    if found.fallbacks.height:
        st.markdown("**Why another model than the usual one**")
        _table(served, found.fallbacks, "Reasons of fallbacks", (), {"series_count": "Series"})
    if found.not_forecast.height:
        st.markdown(f"**{found.not_forecast_count:,} items at a location have no forecast**")
        _table(served, found.not_forecast, "Why items have no forecast", (), {"series_count": "Series"})


def show_runs(served: Served, store: Operations) -> None:
    """Runs that proposed something, newest first, and what waits for other systems."""
    st.markdown("**Runs that wrote suggestions**")
    if store.runs.is_empty():
        st.caption("No run has written suggestions yet.")
    else:
        _table(served, store.runs, "Runs, newest first", (), {"proposed_at": "Finished", "gate_status": "Gate", "as_of_date": "As of"})
    st.markdown("**Messages to other systems**")
    if store.outbox.is_empty():
        st.caption("No message was ever queued: drafts stand in the shop's own tables.")
    else:
        _table(served, store.outbox, "Messages by state", (), {"messages_count": "Messages", "oldest_at": "Oldest"})


def show_use(served: Served, store: Operations) -> None:
    """Which pages are opened, and what is decided: counts, never who."""
    if store.problem:
        return
    st.markdown(f"**Pages opened in the last {operations.USE_DAYS} days**")
    _table(served, store.page_use, "Openings per page", (), {"title": "Page", "opened_count": "Opened"})
    st.markdown(f"**Decisions in the last {operations.USE_DAYS} days**")
    if store.decisions.is_empty():
        st.caption("Nothing was decided.")
    else:
        _table(served, store.decisions, "Decisions by kind", (), {"people_count": "People"})
    st.caption("Openings are counted by day and page, not by person.")


def _table(
    served: Served, frame: pl.DataFrame, alt: str, columns: tuple[str, ...], labels: Mapping[str, object], *, lines: int = 1
) -> None:
    name = alt.partition(",")[0].lower().replace(" ", "-")
    data_table(
        frame,
        name=name,
        as_of=served.context.as_of_date,
        alt=alt,
        columns=columns,
        labels=labels,
        filters={},
        definitions=HEALTH_WORDS,
        lines=lines,
    )


show_page("health", page)
