"""Metrics evaluated on a warehouse or a release: value, earlier periods, target, and everybody who was left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl

from pipelines.errors import MetricError
from pipelines.stores.metrics_catalogue import (
    Metric,
    catalogue_from_json,
    catalogue_to_json,
    find_metric,
    suggestion,
)
from pipelines.stores.metrics_definitions import catalogue_from_manifest
from pipelines.stores.metrics_sql import CURRENT, LAST_YEAR, PRIOR, UNKNOWN, Scope, Split, bound_windows, metric_query
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
    "begins_on",
    "catalogue_from_json",
    "catalogue_from_manifest",
    "catalogue_to_json",
    "daily_values",
    "evaluate",
    "values_over",
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
    where: Mapping[str, Sequence[str]] | None = None,
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
        where: Count only rows of these members, by dimension; a dimension that splits the numerator alone narrows that alone.

    Returns:
        One value per metric, or per metric, member and bucket. A metric whose fields the source lacks says so in status and note,
        and so does one that lacks a dimension it should be split or narrowed by.

    Raises:
        MetricError: No such metric, dimension or period; or a dimension to narrow by without members.
    """
    metrics = [find_metric(catalogue, name) for name in names]
    known = {dimension for metric in metrics for dimension in metric.dimensions}
    if by is not None and by not in known:
        raise MetricError(f"None of these metrics can be split by {by!r}; {suggestion(by, known)}")
    narrowed = _checked_narrowing(catalogue, where)
    basis, targets = read_basis(conn), read_targets(conn)
    values = []
    for metric in metrics:
        missing, lacking = _obstacles(metric, basis, by=by, where=narrowed)
        if missing or lacking:
            (window,) = asked_windows(metric, basis.as_of, first_day=None, since=since, until=until, grain=None)
            goal = goal_on(metric, targets, day=window.counted.last, by=None, member=None, where=narrowed)
            values.append(
                unavailable_value(metric, basis, window, goal, missing=missing, by=by, lacking=[one for one in lacking if one != by])
            )
        else:
            first_day = begins_on(conn, metric)
            windows = asked_windows(metric, basis.as_of, first_day=first_day, since=since, until=until, grain=grain)
            values += _Question(metric, basis, targets, windows, first_day, grain, by, narrowed).answer(conn)
    return values


def daily_values(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    name: str,
    *,
    since: date,
    until: date,
    where: Mapping[str, Sequence[str]] | None = None,
) -> pl.DataFrame:
    """The metric through time: per day, or per week for percentiles and means, which a day holds too few rows for.

    Weeks are counted back from `until`; an incomplete first week is left out. Money is in major units. `where` narrows as in `evaluate`.

    Returns:
        metric_date (last day of the day or week), value, numerator, denominator, n; sorted, without gaps. A value is null where
        nothing was counted, and zero for sums and counts. Empty where the metric is not available, or not narrowed like this.

    Raises:
        MetricError: No such metric or period; or a dimension to narrow by that no metric has.
    """
    metric = find_metric(catalogue, name)
    (window,) = asked_windows(metric, read_basis(conn).as_of, first_day=None, since=since, until=until, grain=None)
    bucket_days = 7 if metric.numerator.aggregation in {"percentile", "average"} else 1
    last_days = [window.counted.last - timedelta(days=bucket_days * i) for i in reversed(range(window.counted.days // bucket_days))]
    spans = [Span(day - timedelta(days=bucket_days - 1), day) for day in last_days]
    values = values_over(conn, catalogue, name, spans, where=where)
    if any(value.status == "blocked" for value in values):
        return pl.DataFrame(schema=_SERIES)  # a course with holes where rates are missing would look like a fall
    rows = [(value.period_to, *map(_float, (value.value, value.numerator, value.denominator)), value.n) for value in values]
    return pl.DataFrame(rows, schema=_SERIES, orient="row")


def values_over(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    name: str,
    spans: Sequence[Span],
    *,
    by: str | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> list[MetricValue]:
    """The metric over each of these periods, in one pass: no target, no comparison, nobody who was left out; a sum over no row is zero.

    Returns:
        A value per period, or per member and period, as `evaluate` orders them. Empty where the metric is not available, or cannot
        be split or narrowed like this.

    Raises:
        MetricError: No such metric; or a dimension to narrow by that no metric has.
    """
    metric, basis, narrowed = find_metric(catalogue, name), read_basis(conn), _checked_narrowing(catalogue, where)
    if any(_obstacles(metric, basis, by=by, where=narrowed)) or not spans:
        return []
    nothing = Span(date.max, date.min)
    windows = [Window(span, nothing, nothing, None, is_complete=True) for span in spans]
    return _Question(metric, basis, (), windows, date.min, "day", by, narrowed, counts_left_out=False).answer(conn)


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
    where: Mapping[str, Sequence[str]]
    counts_left_out: bool = True

    def answer(self, conn: duckdb.DuckDBPyConnection) -> list[MetricValue]:
        """A value per bucket and member; members with most rows first, buckets oldest first."""
        split = self._split(conn, self.by) if self.by else None
        narrowings = tuple(self._split(conn, name, alias=f"narrowed_{i}") for i, name in enumerate(self.where))
        scope = Scope(split, narrowings, counts_left_out=self.counts_left_out)
        members = {f"members_{i}": list(chosen) for i, chosen in enumerate(self.where.values())}
        cursor = conn.execute(metric_query(self.metric, scope), bound_windows(self.windows) | members)
        columns = [column[0] for column in cursor.description or ()]
        found: dict[str | None, dict[int, _Periods]] = {} if self.by else {None: {}}
        totals: dict[int, _Periods] = {}
        for row in cursor.fetchall():
            facts = dict(zip(columns, row, strict=True))
            place = totals if facts["is_total"] else found.setdefault(facts["member"], {})
            place.setdefault(facts["bucket"], {})[facts["period"]] = facts
        if split and split.dimension.splits_numerator_only:
            chosen = self.where.get(self.by or "")
            found = {one: buckets for one, buckets in _shares_of(totals, found).items() if chosen is None or one in chosen}
        sizes = {member: self._size(buckets, split) for member, buckets in found.items()}
        ordered = sorted(found, key=lambda member: (-sizes[member], member or ""))
        return [
            self._value(window, member, found[member].get(bucket, {})) for member in ordered for bucket, window in enumerate(self.windows)
        ]

    def _value(self, window: Window, member: str | None, periods: _Periods) -> MetricValue:
        earlier = {PRIOR: window.prior, LAST_YEAR: window.last_year}
        value = metric_value(
            self.metric, self.basis, window, periods,
            goal_on(self.metric, self.targets, day=window.counted.last, by=self.by, member=member, where=self.where),
            earlier=frozenset(period for period, span in earlier.items() if reaches_back(self.metric, span, self.first_day)),
            has_zeros=self.grain is not None and self.metric.is_additive, is_covered=self._is_covered(window),
            grain=self.grain, by=self.by, member=member,
        )  # fmt: skip
        return value if self.counts_left_out else replace(value, excluded={})

    def _split(self, conn: duckdb.DuckDBPyConnection, name: str, *, alias: str = "lookup") -> Split:
        """The split, with the tables of exclusions that lack its column found by asking the database."""
        split = Split(self.metric.dimensions[name], alias=alias)
        others = {one.table for one in self.metric.exclusions if one.table}
        return replace(split, tables_without=frozenset(table for table in others if not _can_name(conn, self.metric, split, table)))

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


def _checked_narrowing(catalogue: Mapping[str, Metric], where: Mapping[str, Sequence[str]] | None) -> Mapping[str, Sequence[str]]:
    known = {dimension for metric in catalogue.values() for dimension in metric.dimensions}
    for name, members in (where or {}).items():
        if name not in known:
            raise MetricError(f"No metric can be narrowed to {name!r}; {suggestion(name, known)}")
        if not members:
            raise MetricError(f"Narrowed to {name}, but to none of its members: name at least one, or leave it out.")
    return where or {}


def _obstacles(
    metric: Metric, basis: Basis, *, by: str | None, where: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that the source lacks for this question, and the dimensions that the metric does."""
    asked = [by, *where] if by else [*where]
    needs = [need for name in asked if name in metric.dimensions for need in metric.dimensions[name].needs]
    missing = tuple(dict.fromkeys(basis.missing([*metric.needs, *needs])))
    return missing, tuple(name for name in asked if name not in metric.dimensions)


def _can_name(conn: duckdb.DuckDBPyConnection, metric: Metric, split: Split, table: str) -> bool:
    try:
        conn.execute(f"select {split.member(table)} from {metric.schema}.{table} {split.join(table)} limit 0")
    except duckdb.BinderException:
        return False
    return True


def begins_on(conn: duckdb.DuckDBPyConnection, metric: Metric) -> date | None:
    """The first day the metric has rows for: a period that begins before it cannot be compared with."""
    row = conn.execute(f"select min({metric.time_column}) from {metric.schema}.{metric.table}").fetchone()
    return row[0] if row else None
