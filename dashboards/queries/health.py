"""Reads of the page about trust: what arrived and when, what was held back, what was checked, which releases there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.reading import read_frame
from pipelines.settings import load_settings
from pipelines.stores.releases import list_releases

if TYPE_CHECKING:
    from dashboards.queries.releases import Served

LATE_HOURS: Final = 36  # as `components.states.STALE_AFTER`: a day and a half misses one nightly run


@dataclass(frozen=True, slots=True)
class Trust:
    """What the release says about its own making.

    Attributes:
        sources: table_name, changed_at (local; when its newest row changed in the store, null where unknown), read_at (local), age_hours
            since it was read, is_late, rows_in, rows_loaded, rows_deleted, rows_quarantined, rows_duplicate of
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
    def changed_age(self) -> timedelta | None:
        """How long ago, when the sources were read, any of them had changed; None where none says."""
        read_at, changed_at = self.sources["read_at"].max(), self.sources["changed_at"].max()
        return read_at - changed_at if isinstance(read_at, datetime) and isinstance(changed_at, datetime) else None

    @property
    def warned_count(self) -> int:
        """Rows taken although they look wrong."""
        return int(self.warnings["rows_count"].sum())

    @property
    def held_count(self) -> int:
        """Documents held back; none where the release does not list them."""
        return 0 if self.quarantined is None or self.quarantined.is_empty() else self.quarantined["document_id"].n_unique()

    @property
    def held_most(self) -> tuple[str, int]:
        """The source table with most rows held back, and how many; some must be."""
        by_table = (self.quarantined if self.quarantined is not None else pl.DataFrame()).group_by("table_name").len()
        name, count = by_table.sort("len", "table_name", descending=[True, False]).row(0)
        return name, count

    @property
    def open_holds_count(self) -> int:
        """Blocks of publishing that nobody has accepted."""
        return self.holds.filter(~pl.col("is_accepted")).height

    @property
    def checks_count(self) -> int:
        """Checks of the run."""
        return int(self.checks["checks_count"].sum())

    @property
    def checks_by_origin(self) -> pl.DataFrame:
        """origin, checks_count, failed_count."""
        return self.checks.group_by("origin", maintain_order=True).agg(pl.col("checks_count", "failed_count").sum())

    @property
    def compared_count(self) -> int:
        """Comparisons between order system, stock and finance."""
        return int(self.reconciled["compared_count"].sum())

    @property
    def agreeing_rate(self) -> float | None:
        """Share of the comparisons that agree; None where nothing was compared."""
        return 1 - self.differing_count / self.compared_count if self.compared_count else None

    @property
    def incidents_count(self) -> int:
        """Rows that the change feed had missed."""
        return int(self.incidents.select(pl.sum_horizontal("missing_count", "stale_count", "ghost_count").sum()).item() or 0)

    @property
    def broken(self) -> pl.DataFrame:
        """Checks of the forecasts that did not hold, for which suggestions are withheld."""
        return self.forecast_checks.filter(~pl.col("is_passed"))

    @property
    def not_forecast_count(self) -> int:
        """Items at a location without a forecast."""
        return int(self.not_forecast["series_count"].sum())

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


def trust(served: Served, *, now: datetime) -> Trust:
    """What the release says about its own making, with ages as of `now`."""
    release, zone = served.release, served.context.reporting_time_zone
    has_quarantine, has_changes = (
        not read_frame(release, _HAS, (name,)).is_empty() for name in ("quarantined_documents", "source_changes")
    )
    age = pl.lit(now.astimezone(UTC).replace(tzinfo=None)) - pl.col("read_at")
    sources = read_frame(release, _SOURCES.format(changes=_CHANGES if has_changes else _NO_CHANGES)).with_columns(
        (age.dt.total_minutes() / 60).alias("age_hours"), (age > timedelta(hours=LATE_HOURS)).fill_null(value=True).alias("is_late")
    )
    return Trust(
        sources=sources.with_columns(_local("read_at", zone), _local("changed_at", zone)),
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


def day_checks(served: Served) -> pl.DataFrame | None:
    """subject, measure, value, usual, low, high, is_usual (null: too little to say), basis; None of a release older than such looks."""
    if read_frame(served.release, _HAS, ("day_checks",)).is_empty():
        return None
    return read_frame(served.release, _DAY_CHECKS)


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


def _local(column: str, zone: str) -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)


_RELEASES: Final[dict[str, Any]] = {
    "release_id": pl.String, "is_served": pl.Boolean, "as_of_date": pl.String, "published_at": pl.Datetime("us", "UTC"),
    "checks_passed": pl.Int64, "checks_count": pl.Int64, "rows_count": pl.Int64, "code_version": pl.String,
}  # fmt: skip
_HAS: Final = "select 1 from duckdb_tables() where schema_name = 'meta' and table_name = ?"
_CHANGES: Final = "meta.source_changes"
_NO_CHANGES: Final = "(select '' as table_name, null::timestamp as changed_at)"  # of a release that is older than such lists
_DAY_CHECKS: Final = """
    select replace(subject, '_', ' ') as subject, replace(measure, '_', ' ') as measure, value, usual, low, high, is_usual, basis
    from meta.day_checks order by is_usual nulls last, subject, measure = 'rows' desc, measure
"""
_QUARANTINED: Final = "select code, table_name, document_id, reason, next_step, first_run_id from meta.quarantined_documents"
_SOURCES: Final = """
    select t.table_name, t.read_by, changes.changed_at, t.read_at, c.rows_in,
        c.rows_loaded, c.rows_deleted, c.rows_quarantined, c.rows_duplicate
    from meta.source_tables as t
    left join {changes} as changes using (table_name)
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
