"""Metrics as pages show them: one value, its parts, its course; each by the definition that the release carries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import streamlit as st

from dashboards.queries.names import member_names, told
from dashboards.queries.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.stores.metrics import Grain, Metric, MetricValue, catalogue_from_json, daily_values, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from dashboards.filters import Filters
    from dashboards.queries.releases import Served
    from pipelines.stores.releases import Release

# The six of the overview, in reading order, and who stands beside whom.
OVERVIEW_KPIS: Final = ("net_sales", "order_cycle_time_p50_days", "on_time_in_full", "line_fill_rate", "in_stock_rate", "stock_value")
COMPANIONS: Final = {
    "order_cycle_time_p50_days": "order_cycle_time_p90_days", "order_to_cash_p50_days": "order_to_cash_p90_days",
    "lead_time_actual_p50_days": "lead_time_actual_p90_days",
}  # fmt: skip
WEEKLY_ABOVE_DAYS: Final = 28  # longer periods draw their sparkline by weeks
COURSE_BUCKETS: Final[dict[Grain, int]] = {"day": 91, "week": 53, "month": 25, "quarter": 12, "year": 6}


@dataclass(frozen=True, slots=True)
class Kpi:
    """One metric over the chosen period with its definition, the metric that stands beside it, and its course for a sparkline.

    `change` and `change_rate` (of the prior value) are None where the data does not reach back over the whole prior period;
    `data_from` is the first day there is data for, where that is later than the period's first day.
    """

    metric: Metric
    value: MetricValue
    change: float | None
    change_rate: float | None
    data_from: date | None
    companion: Kpi | None
    course: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MetricTable:
    """A metric by the members of a dimension, or by buckets of time.

    Attributes:
        metric: Its definition.
        by: The dimension, or the grain.
        rows: member (an id, or a bucket's first day as text), name, and the fields of `MetricValue`; money in major units. Members with
            most rows first, buckets oldest first.
        not_available: Why there are no rows; None where there are.
    """

    metric: Metric
    by: str
    rows: pl.DataFrame
    not_available: str | None


def catalogue(served: Served) -> dict[str, Metric]:
    """The metrics that the release defines, by name."""
    return _catalogue(served.release)


def kpis(served: Served, names: Sequence[str], filters: Filters) -> list[Kpi]:
    """These metrics over the chosen days up to the as-of date, narrowed as chosen."""
    return _kpis(served.release, tuple(names), filters, as_of=served.context.as_of_date)


def breakdown(served: Served, name: str, by: str, filters: Filters) -> MetricTable:
    """A metric over the chosen days by the members of a dimension."""
    rows, why_not = _rows(served.release, name, filters, as_of=served.context.as_of_date, by=by, grain=None)
    names = member_names(served, by)
    known = [names.get(member) or told(by, member) for member in rows["member"]] if rows.height else []
    return MetricTable(catalogue(served)[name], by, rows.with_columns(pl.Series("name", known, dtype=pl.String)), why_not)


def course(served: Served, name: str, filters: Filters, *, grain: Grain = "week", by: str | None = None) -> MetricTable:
    """A metric through time, by calendar up to the as-of date: about a year of days, weeks or months; each by the members of `by`."""
    rows, why_not = _rows(served.release, name, filters, as_of=served.context.as_of_date, by=by, grain=grain)
    return MetricTable(catalogue(served)[name], grain, rows, why_not)


@st.cache_resource(max_entries=4, ttl=CACHE_SECONDS, show_spinner=False, hash_funcs=BY_RELEASE)
def _catalogue(release: Release) -> dict[str, Metric]:
    with reading(release) as conn:
        row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
    return catalogue_from_json(row[0] if row else "{}")


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Measuring", hash_funcs=BY_RELEASE)
def _kpis(release: Release, names: tuple[str, ...], filters: Filters, *, as_of: date) -> list[Kpi]:
    found = _catalogue(release)
    with reading(release) as conn:
        row = conn.execute("select min(ordered_date) from marts.fct_orders where not is_test").fetchone()
        first_day: date | None = row[0] if row else None
        return [_kpi(conn, found, name, filters, as_of=as_of, first_day=first_day) for name in names]


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Measuring", hash_funcs=BY_RELEASE)
def _rows(
    release: Release, name: str, filters: Filters, *, as_of: date, by: str | None, grain: Grain | None
) -> tuple[pl.DataFrame, str | None]:
    found = _catalogue(release)
    since = _first_of(grain, as_of) if grain else as_of - timedelta(days=found[name].maturity_days + filters.days - 1)
    with reading(release) as conn:
        values = evaluate(conn, found, [name], by=by, since=since, until=as_of, grain=grain, where=filters.where)
    missing = values[0].note if len(values) == 1 and values[0].status == "not_available" else None
    rows = [] if missing else [value.as_dict() for value in values]
    frame = pl.DataFrame(rows, schema=_VALUES, orient="row", strict=False) if rows else pl.DataFrame(schema=_VALUES)
    return frame.with_columns(pl.col("period_from", "period_to").str.to_date()), missing


def _kpi(
    conn: duckdb.DuckDBPyConnection, found: Mapping[str, Metric], name: str, filters: Filters, *, as_of: date, first_day: date | None
) -> Kpi:
    value = _value(conn, found, name, filters, as_of=as_of)
    prior = None if value.prior is None else float(value.prior)
    change = None if value.change is None else float(value.change)
    is_known = value.status not in {"not_available", "blocked"}
    return Kpi(
        metric=found[name],
        value=value,
        change=change,
        change_rate=change / prior if change is not None and prior is not None and prior > 0 else None,
        data_from=first_day if first_day is not None and first_day > value.period_from else None,
        companion=_kpi(conn, found, COMPANIONS[name], filters, as_of=as_of, first_day=first_day) if name in COMPANIONS else None,
        course=_course(conn, found, name, filters, value) if is_known else (),
    )


def _value(conn: duckdb.DuckDBPyConnection, found: Mapping[str, Metric], name: str, filters: Filters, *, as_of: date) -> MetricValue:
    """A metric that has to mature covers as many days as the others, ending earlier."""
    maturity_days = found[name].maturity_days if name in found else 0
    since = as_of - timedelta(days=maturity_days + filters.days - 1)
    return evaluate(conn, found, [name], since=since, until=as_of, where=filters.where)[0]


def _course(
    conn: duckdb.DuckDBPyConnection, found: Mapping[str, Metric], name: str, filters: Filters, value: MetricValue
) -> tuple[float, ...]:
    """What a sparkline draws: days, or for long periods whole weeks as ratios of sums."""
    daily = daily_values(conn, found, name, since=value.period_from, until=value.period_to, where=filters.where)
    if filters.days > WEEKLY_ABOVE_DAYS and daily.height == filters.days:
        week = (pl.lit(daily["metric_date"].max()) - pl.col("metric_date")).dt.total_days() // 7
        sums = daily.group_by(week.alias("week")).agg(pl.len(), pl.col("numerator", "denominator").sum()).filter(pl.col("len") == 7)
        is_ratio = daily["denominator"].is_not_null().any()
        weekly = pl.col("numerator") / pl.col("denominator") if is_ratio else pl.col("numerator")
        daily = sums.sort("week", descending=True).select(weekly.alias("value"))
    return tuple(daily.filter(pl.col("value").is_finite())["value"])


def _first_of(grain: Grain, as_of: date) -> date:
    days: dict[Grain, int] = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
    start = as_of - timedelta(days=days[grain] * COURSE_BUCKETS[grain])
    match grain:
        case "week":
            return start - timedelta(days=start.weekday())
        case "month":
            return start.replace(day=1)
        case "quarter":
            return date(start.year, 3 * ((start.month - 1) // 3) + 1, 1)
        case "year":
            return date(start.year, 1, 1)
        case _:
            return start


_NUMBERS: Final = ("value", "numerator", "denominator", "target", "prior", "change", "last_year", "change_last_year")
_VALUES: Final[dict[str, Any]] = (
    {"member": pl.String, "period_from": pl.String, "period_to": pl.String}
    | dict.fromkeys(_NUMBERS, pl.Float64)
    | {"n": pl.Int64, "unit": pl.String, "currency_code": pl.String, "status": pl.String, "note": pl.String, "is_complete": pl.Boolean}
)
