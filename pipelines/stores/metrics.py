"""Metrics evaluated on a warehouse or a release: value, earlier periods, target, and everybody who was left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl

from pipelines.errors import MetricError
from pipelines.stores.metrics_catalogue import (
    Dimension,
    Metric,
    catalogue_from_json,
    catalogue_to_json,
    find_metric,
    suggestion,
)
from pipelines.stores.metrics_definitions import catalogue_from_manifest
from pipelines.stores.metrics_sql import CURRENT, LAST_YEAR, PRIOR, UNKNOWN, Split, bound_windows, metric_query
from pipelines.stores.metrics_targets import DatedTarget, goal_on, read_targets
from pipelines.stores.metrics_values import Basis, MetricValue, metric_value, read_basis, unavailable_value
from pipelines.stores.metrics_windows import GRAINS, Grain, Span, Window, asked_windows, reaches_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "GRAINS",
    "Grain",
    "Metric",
    "MetricValue",
    "catalogue_from_json",
    "catalogue_from_manifest",
    "catalogue_to_json",
    "daily_values",
    "evaluate",
]

_Periods = dict[str, dict[str, Any]]


def evaluate(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    names: Iterable[str],
    *,
    by: str | None = None,
    since: date | None = None,
    until: date | None = None,
    grain: Grain | None = None,
) -> list[MetricValue]:
    """The metrics over a period, the equally long one before it, and the same weekdays a year ago.

    Without dates that is the 28 complete days up to the as-of date. A metric that must mature (`maturity_days`) covers a period
    that ends so many days before the as-of date; younger rows are counted in `excluded`.

    Args:
        conn: A warehouse or a release: schemas marts and meta.
        catalogue: What metrics there are.
        names: Which of them, in this order.
        by: Dimension to split by; members with most rows come first.
        since: First day.
        until: Last day, default the as-of date; days after it count only where they are named, and the note says so.
        grain: Cut the period into buckets by calendar, each a value of its own, oldest first; a percentile is that of its bucket.

    Returns:
        One value per metric, or per metric, member and bucket. A metric whose fields the source lacks says so in status and note.

    Raises:
        MetricError: No such metric, dimension or period.
    """
    metrics = [find_metric(catalogue, name) for name in names]
    known = {dimension for metric in metrics for dimension in metric.dimensions}
    if by is not None and by not in known:
        raise MetricError(f"None of these metrics can be split by {by!r}; {suggestion(by, known)}")
    basis, targets = read_basis(conn), read_targets(conn)
    values = []
    for metric in metrics:
        split = metric.dimensions.get(by) if by else None
        missing = basis.missing(metric.needs + (split.needs if split else ()))
        if missing or (by and split is None):
            (window,) = asked_windows(metric, basis.as_of, first_day=None, since=since, until=until, grain=None)
            goal = goal_on(metric, targets, day=window.counted.last, by=None, member=None)
            values.append(unavailable_value(metric, basis, window, goal, missing=missing, by=by))
        else:
            first_day = _first_day(conn, metric)
            windows = asked_windows(metric, basis.as_of, first_day=first_day, since=since, until=until, grain=grain)
            values += _Question(metric, basis, targets, windows, first_day, grain, by).answer(conn)
    return values


def daily_values(conn: duckdb.DuckDBPyConnection, catalogue: Mapping[str, Metric], name: str, *, since: date, until: date) -> pl.DataFrame:
    """The metric through time: per day, or per week for percentiles and means, which a day holds too few rows for.

    Weeks are counted back from `until`; an incomplete first week is left out. Money is in major units.

    Returns:
        metric_date (last day of the day or week), value, numerator, denominator, n; sorted, without gaps. A value is null where
        nothing was counted, and zero for sums and counts. Empty where the metric is not available.

    Raises:
        MetricError: No such metric or period.
    """
    metric = find_metric(catalogue, name)
    basis = read_basis(conn)
    (window,) = asked_windows(metric, basis.as_of, first_day=None, since=since, until=until, grain=None)
    bucket_days = 7 if metric.numerator.aggregation in {"percentile", "average"} else 1
    bucket_count = window.counted.days // bucket_days
    if basis.missing(metric.needs) or bucket_count < 1:
        return pl.DataFrame(schema=_SERIES)
    last_days = [window.counted.last - timedelta(days=bucket_days * i) for i in reversed(range(bucket_count))]
    spans = [Span(day - timedelta(days=bucket_days - 1), day) for day in last_days]
    nothing = Span(until, until - timedelta(days=1))
    windows = [Window(span, nothing, nothing, None, is_complete=True) for span in spans]
    values = _Question(metric, basis, (), windows, date.min, "day", None).answer(conn)
    if any(value.status == "blocked" for value in values):
        return pl.DataFrame(schema=_SERIES)  # a course with holes where rates are missing would look like a fall
    rows = [(value.period_to, *map(_float, (value.value, value.numerator, value.denominator)), value.n) for value in values]
    return pl.DataFrame(rows, schema=_SERIES, orient="row")


_SERIES: Final = {"metric_date": pl.Date, "value": pl.Float64, "numerator": pl.Float64, "denominator": pl.Float64, "n": pl.Int64}


def _float(amount: Any) -> float | None:
    return None if amount is None else float(amount)


@dataclass(frozen=True, slots=True)
class _Question:
    """One metric over its windows, put to a database once."""

    metric: Metric
    basis: Basis
    targets: Sequence[DatedTarget]
    windows: Sequence[Window]
    first_day: date | None
    grain: Grain | None
    by: str | None

    def answer(self, conn: duckdb.DuckDBPyConnection) -> list[MetricValue]:
        """A value per bucket and member; members with most rows first, buckets oldest first."""
        split = _split(conn, self.metric, self.metric.dimensions[self.by]) if self.by else None
        cursor = conn.execute(metric_query(self.metric, split=split), bound_windows(self.windows))
        columns = [column[0] for column in cursor.description or ()]
        found: dict[str | None, dict[int, _Periods]] = {} if self.by else {None: {}}
        totals: dict[int, _Periods] = {}
        for row in cursor.fetchall():
            facts = dict(zip(columns, row, strict=True))
            place = totals if facts["is_total"] else found.setdefault(facts["member"], {})
            place.setdefault(facts["bucket"], {})[facts["period"]] = facts
        if split and split.dimension.splits_numerator_only:
            found = _shares_of(totals, found)
        sizes = {member: self._size(buckets, split) for member, buckets in found.items()}
        members = sorted(found, key=lambda member: (-sizes[member], member or ""))
        return [
            self._value(window, member, found[member].get(bucket, {})) for member in members for bucket, window in enumerate(self.windows)
        ]

    def _value(self, window: Window, member: str | None, periods: _Periods) -> MetricValue:
        earlier = {PRIOR: window.prior, LAST_YEAR: window.last_year}
        return metric_value(
            self.metric, self.basis, window, periods,
            goal_on(self.metric, self.targets, day=window.counted.last, by=self.by, member=member),
            earlier=frozenset(period for period, span in earlier.items() if reaches_back(self.metric, span, self.first_day)),
            has_zeros=self.grain is not None and self.metric.is_additive, is_covered=self._is_covered(window),
            grain=self.grain, by=self.by, member=member,
        )  # fmt: skip

    def _is_covered(self, window: Window) -> bool:
        return self.first_day is not None and self.first_day <= window.counted.first and window.counted.days > 0

    @staticmethod
    def _size(buckets: Mapping[int, _Periods], split: Split | None) -> float:
        """What members are ordered by: rows, or the numerator where all rest on the same rows."""
        part = "numerator" if split and split.dimension.splits_numerator_only else "n"
        return float(sum(periods.get(CURRENT, {}).get(part) or 0 for periods in buckets.values()))


def _shares_of(totals: Mapping[int, _Periods], found: Mapping[str | None, dict[int, _Periods]]) -> dict[str | None, dict[int, _Periods]]:
    """Each member's numerator over everything else of the whole; rows that have no member and add nothing are nobody's share."""

    def share(buckets: dict[int, _Periods], bucket: int, period: str) -> dict[str, Any]:
        own = buckets.get(bucket, {}).get(period, {})
        return totals[bucket][period] | {"numerator": own.get("numerator") or 0}

    return {
        member: {bucket: {period: share(buckets, bucket, period) for period in periods} for bucket, periods in totals.items()}
        for member, buckets in found.items()
        if member != UNKNOWN or any(facts["numerator"] for periods in buckets.values() for facts in periods.values())
    }


def _split(conn: duckdb.DuckDBPyConnection, metric: Metric, dimension: Dimension) -> Split:
    """The split, with the tables of exclusions that lack its column found by asking the database."""
    split = Split(dimension)
    others = {one.table for one in metric.exclusions if one.table}
    return Split(dimension, frozenset(table for table in others if not _can_name(conn, metric, split, table)))


def _can_name(conn: duckdb.DuckDBPyConnection, metric: Metric, split: Split, table: str) -> bool:
    try:
        conn.execute(f"select {split.member(table)} from {metric.schema}.{table} {split.join(table)} limit 0")
    except duckdb.BinderException:
        return False
    return True


def _first_day(conn: duckdb.DuckDBPyConnection, metric: Metric) -> date | None:
    """The first day the metric has rows for: a period that begins before it cannot be compared with."""
    row = conn.execute(f"select min({metric.time_column}) from {metric.schema}.{metric.table}").fetchone()
    return row[0] if row else None
