"""Reads of the page about trust: what arrived and when, what was held back, what was checked, which releases there are, what is used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from dashboards.pages import PAGES
from dashboards.queries.reading import read_frame
from pipelines.errors import UnavailableError
from pipelines.settings import load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import decision, outbox, recommendation_run
from pipelines.stores.page_use import read_page_use
from pipelines.stores.releases import list_releases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.queries.releases import Served

USE_DAYS: Final = 28
LATE_AFTER: Final = timedelta(hours=36)  # as `components.states.STALE_AFTER`: a day and a half misses one nightly run
IN_DOUBT: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the release says about its own making.

    Attributes:
        sources: table_name, read_at (local), age_hours, is_late, rows_in, rows_loaded, rows_deleted, rows_quarantined, rows_duplicate of
            the run that published, one row per source table.
        quarantined: code, table_name, document_id, reason, next_step, first_run_id of documents held back; None where the release is
            older than such lists.
        warnings: code, table_name, rows_count, example_key of what was taken although it looks wrong.
        holds: What blocked publishing: code, table_name, reason, measured_count, limit_count, is_accepted.
        checks: origin, subject, checks_count, failed_count.
        reconciled: rule, compared_count, differing_count over all days compared.
        incidents: table_name, missing_count, stale_count, ghost_count that the change feed had missed.
        forecast_checks: check_name, is_passed, measured_rate, usual_rate, limit_rate, reason.
        series_count: Series that have a forecast.
        fallbacks: reason, series_count of those on another model than the usual one.
        not_forecast: reason, series_count of items without a forecast.
    """

    sources: pl.DataFrame
    quarantined: pl.DataFrame | None
    warnings: pl.DataFrame
    holds: pl.DataFrame
    checks: pl.DataFrame
    reconciled: pl.DataFrame
    incidents: pl.DataFrame
    forecast_checks: pl.DataFrame
    series_count: int
    fallbacks: pl.DataFrame
    not_forecast: pl.DataFrame

    @property
    def late_tables(self) -> list[str]:
        """Source tables that were read longer ago than they should."""
        return self.sources.filter(pl.col("is_late"))["table_name"].to_list()

    @property
    def failed_checks_count(self) -> int:
        """Checks that did not hold."""
        return int(self.checks["failed_count"].sum())

    @property
    def differing_count(self) -> int:
        """Documents on which order system, stock and finance disagree."""
        return int(self.reconciled["differing_count"].sum())

    @property
    def fallback_count(self) -> int:
        """Series on another model than the usual one."""
        return int(self.fallbacks["series_count"].sum())


@dataclass(frozen=True, slots=True)
class Operations:
    """What the operational store says at this moment; `problem` says why it does not answer.

    Attributes:
        runs: proposed_at (local), as_of_date, release_id, gate_status, and the counts of proposals; newest first.
        outbox: state, messages_count, oldest_at (local).
        page_use: title, opened_count in the last `USE_DAYS` days, pages that nobody opened at the end.
        decisions: action, outcome, decisions_count, people_count in the last `USE_DAYS` days.
    """

    runs: pl.DataFrame
    outbox: pl.DataFrame
    page_use: pl.DataFrame
    decisions: pl.DataFrame
    problem: str | None

    def messages(self, *states: str) -> int:
        """How many messages are in one of these states."""
        return int(self.outbox.filter(pl.col("state").is_in(states))["messages_count"].sum())


def trust(served: Served, *, now: datetime) -> Trust:
    """What the release says about its own making, with ages as of `now`."""
    release, zone = served.release, served.context.reporting_time_zone
    has_quarantine = not read_frame(release, _HAS_QUARANTINE).is_empty()
    age = pl.lit(now.astimezone(UTC).replace(tzinfo=None)) - pl.col("read_at")
    sources = read_frame(release, _SOURCES).with_columns(
        (age.dt.total_minutes() / 60).alias("age_hours"), (age > LATE_AFTER).fill_null(value=True).alias("is_late")
    )
    return Trust(
        sources=sources.with_columns(_local("read_at", zone)),
        quarantined=read_frame(release, _QUARANTINED) if has_quarantine else None,
        warnings=read_frame(release, "select code, table_name, rows_count, example_key from meta.warnings order by code, table_name"),
        holds=read_frame(release, _HOLDS),
        checks=read_frame(
            release,
            "select origin, subject, checks_count, failed_count from meta.check_results order by failed_count desc, origin, subject",
        ),
        reconciled=read_frame(release, _RECONCILED),
        incidents=read_frame(release, _INCIDENTS),
        forecast_checks=read_frame(release, _FORECAST_CHECKS),
        series_count=int(read_frame(release, "select count(*) as n from planning.demand_series where reason is null")["n"][0]),
        fallbacks=read_frame(release, _FALLBACKS),
        not_forecast=read_frame(release, _NOT_FORECAST),
    )


def kept_releases(served: Served) -> pl.DataFrame:
    """release_id, is_served, as_of_date, published_at (local), checks_passed, checks_count, rows_count, code_version; newest first."""
    rows = [
        (one.release_id, one.release_id == served.release.release_id, one.as_of_date, datetime.fromisoformat(one.published_at),
         one.checks_passed, one.checks_total, sum(one.row_counts.values()), one.code_version)
        for one in list_releases(load_settings().releases_path)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema=_RELEASES, orient="row")
    zone = served.context.reporting_time_zone
    return frame.with_columns(
        pl.col("as_of_date").str.to_date(), pl.col("published_at").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    )


def operations(served: Served, *, now: datetime) -> Operations:
    """Runs, messages, and what people use and decide; with a sentence where the store does not answer."""
    zone, since = served.context.reporting_time_zone, now - timedelta(days=USE_DAYS)
    try:
        with OperationalStore.open_to_read(load_settings().resolved_store_url) as store:
            used = read_page_use(store, since=since.date())
            with store.transaction(writes=False) as conn:
                has = set(sa.inspect(conn).get_table_names())
                runs = conn.execute(_RUNS).all() if recommendation_run.name in has else []
                waiting = conn.execute(_OUTBOX).all() if outbox.name in has else []
                decided = conn.execute(_DECIDED, {"since": since}).all() if decision.name in has else []
    except UnavailableError as exc:
        nothing = pl.DataFrame()
        return Operations(nothing, pl.DataFrame(schema=_WAITING), nothing, nothing, str(exc))
    counted = pl.DataFrame({"page": [page.name for page in PAGES], "title": [page.title for page in PAGES]})
    use = counted.join(used, on="page", how="left").with_columns(pl.col("opened_count").fill_null(0)).drop("page")
    return Operations(
        runs=_runs(runs, zone),
        outbox=pl.DataFrame([(state, count, _in_zone(oldest, zone)) for state, count, oldest in waiting], schema=_WAITING, orient="row"),
        page_use=use.sort("opened_count", descending=True, maintain_order=True),
        decisions=pl.DataFrame([tuple(row) for row in decided], schema=_DECISIONS, orient="row"),
        problem=None,
    )


def _runs(rows: Sequence[Any], zone: str) -> pl.DataFrame:
    told = [
        {"proposed_at": _in_zone(at, zone), "as_of_date": day, "release_id": release, "gate_status": gate} | json.loads(counts or "{}")
        for at, day, release, gate, counts in rows
    ]
    return pl.DataFrame(told, infer_schema_length=None)


def _in_zone(at: object, zone: str) -> datetime | None:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if isinstance(at, datetime) else None


def _local(column: str, zone: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)


_RUNS: Final = sa.select(
    recommendation_run.c.proposed_at, recommendation_run.c.as_of_date, recommendation_run.c.release_id, recommendation_run.c.gate_status,
    recommendation_run.c.counts,
).order_by(recommendation_run.c.proposed_at.desc()).limit(60)  # fmt: skip
_OUTBOX: Final = (
    sa.select(outbox.c.state, sa.func.count(), sa.func.min(outbox.c.created_at)).group_by(outbox.c.state).order_by(outbox.c.state)
)
_DECIDED: Final = (
    sa.select(decision.c.action, decision.c.outcome, sa.func.count(), sa.func.count(decision.c.actor.distinct()))
    .where(decision.c.decided_at >= sa.bindparam("since", type_=decision.c.decided_at.type))
    .group_by(decision.c.action, decision.c.outcome)
    .order_by(decision.c.action, decision.c.outcome)
)
_WAITING: Final[dict[str, Any]] = {"state": pl.String, "messages_count": pl.Int64, "oldest_at": pl.Datetime("us")}
_DECISIONS: Final[dict[str, Any]] = {"action": pl.String, "outcome": pl.String, "decisions_count": pl.Int64, "people_count": pl.Int64}
_RELEASES: Final[dict[str, Any]] = {
    "release_id": pl.String, "is_served": pl.Boolean, "as_of_date": pl.String, "published_at": pl.Datetime("us", "UTC"),
    "checks_passed": pl.Int64, "checks_count": pl.Int64, "rows_count": pl.Int64, "code_version": pl.String,
}  # fmt: skip
_HAS_QUARANTINE: Final = "select 1 from duckdb_tables() where schema_name = 'meta' and table_name = 'quarantined_documents'"
_QUARANTINED: Final = "select code, table_name, document_id, reason, next_step, first_run_id from meta.quarantined_documents"
_SOURCES: Final = """
    select t.table_name, t.read_by, t.read_at, c.rows_in, c.rows_loaded, c.rows_deleted, c.rows_quarantined, c.rows_duplicate
    from meta.source_tables as t
    left join meta.ingest_counts as c on c.table_name = t.table_name and c.run_id = (select run_id from meta.run_context)
    order by t.read_at, t.table_name
"""
_HOLDS: Final = """
    select code, table_name, reason, measured_count, limit_count, is_accepted from meta.publishing_holds order by is_accepted, code
"""
_RECONCILED: Final = """
    select rule, sum(compared_count)::bigint as compared_count, sum(differing_count)::bigint as differing_count
    from marts.fct_reconciliation_checks group by rule order by differing_count desc, rule
"""
_INCIDENTS: Final = """
    select table_name, sum(missing_count)::bigint as missing_count, sum(stale_count)::bigint as stale_count,
        sum(ghost_count)::bigint as ghost_count, max(found_at) as found_at
    from meta.reconcile_incidents group by table_name order by table_name
"""
_FORECAST_CHECKS: Final = "select check_name, is_passed, measured_rate, usual_rate, limit_rate, reason from planning.forecast_checks"
_FALLBACKS: Final = """
    select fallback_reason as reason, count(*)::bigint as series_count from planning.backtest_scores
    where fallback_reason is not null group by all order by series_count desc, reason
"""
_NOT_FORECAST: Final = """
    select reason_kind as reason, count(*)::bigint as series_count from planning.demand_series
    where reason is not null group by all order by series_count desc, reason
"""
