"""Metrics evaluated on a warehouse or a release: value, prior period, target, and everybody who was left out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipelines.errors import MetricError
from pipelines.stores.metrics_catalogue import (
    Metric,
    catalogue_from_json,
    catalogue_from_manifest,
    catalogue_to_json,
    find_metric,
    suggestion,
)
from pipelines.stores.metrics_sql import bucket_query, period_query
from pipelines.stores.metrics_values import (
    Basis,
    MetricValue,
    Window,
    comparison_window,
    major_units,
    metric_value,
    ratio,
    read_basis,
    unavailable_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

__all__ = [
    "Metric",
    "MetricValue",
    "catalogue_from_json",
    "catalogue_from_manifest",
    "catalogue_to_json",
    "daily_values",
    "evaluate",
]


def evaluate(
    conn: duckdb.DuckDBPyConnection,
    catalogue: Mapping[str, Metric],
    names: Iterable[str],
    *,
    by: str | None = None,
    since: date | None = None,
    until: date | None = None,
) -> list[MetricValue]:
    """The metrics over a period and the equally long one before it.

    Without dates that is the 28 complete days up to the as-of date. A metric that must mature (`maturity_days`) covers a period
    that ends so many days before the as-of date; younger rows are counted in `excluded`.

    Args:
        conn: A warehouse or a release: schemas marts and meta.
        catalogue: What metrics there are.
        names: Which of them, in this order.
        by: Dimension to split by; members with most rows come first.
        since: First day.
        until: Last day, default the as-of date; days after it count only where they are named, and the note says so.

    Returns:
        One value per metric, or per metric and member. A metric whose fields the source lacks says so in status and note.

    Raises:
        MetricError: No such metric, dimension or period.
    """
    metrics = [find_metric(catalogue, name) for name in names]
    known = {dimension for metric in metrics for dimension in metric.dimensions}
    if by is not None and by not in known:
        raise MetricError(f"None of these metrics can be split by {by!r}; {suggestion(by, known)}")
    basis = read_basis(conn)
    values = []
    for metric in metrics:
        window = comparison_window(metric, basis.as_of, since=since, until=until)
        split = metric.dimensions.get(by) if by else None
        missing = basis.missing(metric.needs + (split.needs if split else ()))
        if missing or (by and not split):
            values.append(unavailable_value(metric, basis, window, missing=missing, by=by))
        else:
            values += _evaluate_one(conn, metric, basis, window, by)
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
    window = comparison_window(metric, basis.as_of, since=since, until=until)
    bucket_days = 7 if metric.numerator.aggregation in {"percentile", "average"} else 1
    bucket_count = ((window.until - window.since).days + 1) // bucket_days
    if basis.missing(metric.needs) or bucket_count < 1:
        return pl.DataFrame(schema=_SERIES)
    first = window.until - timedelta(days=bucket_count * bucket_days - 1)
    rows = conn.execute(bucket_query(metric, bucket_days=bucket_days), {"since": first, "until": window.until}).fetchall()
    if len({row[4] for row in rows if row[4]}) > 1 or any(row[5] > 1 for row in rows):
        return pl.DataFrame(schema=_SERIES)  # several currencies: no sum of them means anything
    found = {row[0]: row for row in rows}
    days = [window.until - timedelta(days=bucket_days * i) for i in reversed(range(bucket_count))]
    return pl.DataFrame([_series_row(metric, day, found.get(day)) for day in days], schema=_SERIES, orient="row")


_SERIES: Final = {"metric_date": pl.Date, "value": pl.Float64, "numerator": pl.Float64, "denominator": pl.Float64, "n": pl.Int64}


def _series_row(metric: Metric, day: date, row: tuple[Any, ...] | None) -> tuple[date, float | None, float | None, float | None, int]:
    if row is None or not row[3]:
        zero = 0.0 if metric.is_additive else None
        return day, zero, zero, None, 0
    numerator, denominator, n, currency_code = row[1:5]
    if metric.unit == "money":
        numerator = float(major_units(int(numerator), currency_code)) if numerator is not None else None
    return day, ratio(metric, numerator, denominator), numerator, denominator, n


def _evaluate_one(conn: duckdb.DuckDBPyConnection, metric: Metric, basis: Basis, window: Window, by: str | None) -> list[MetricValue]:
    bound = {"since": window.since, "until": window.until, "prior_since": window.prior_since, "prior_until": window.prior_until}
    if metric.maturity_days:
        bound |= {"young_since": window.young_since, "young_until": window.young_until}
    cursor = conn.execute(period_query(metric, by=by), bound)
    columns = [column[0] for column in cursor.description or ()]
    rows: dict[str | None, dict[str, dict[str, Any]]] = {} if by else {None: {}}
    for row in cursor.fetchall():
        facts = dict(zip(columns, row, strict=True))
        member = (facts["member"] or "unknown") if by else None
        rows.setdefault(member, {})[facts["period"]] = facts
    reaches_back = window.prior_since >= _first_day(conn, metric, window)
    values = [
        metric_value(metric, basis, window, periods, has_prior=reaches_back, by=by, member=member) for member, periods in rows.items()
    ]
    return sorted(values, key=lambda value: (-(value.n or 0), value.member or ""))


def _first_day(conn: duckdb.DuckDBPyConnection, metric: Metric, window: Window) -> date:
    """The first day the metric has rows for: a period that begins before it cannot be compared with."""
    row = conn.execute(f"select min({metric.time_column}) from {metric.schema}.{metric.table}").fetchone()
    return row[0] if row and row[0] else window.since
