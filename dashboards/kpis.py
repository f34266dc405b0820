"""The KPIs of the overview, measured by the definitions that the release carries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboards.reading import BY_RELEASE, CACHE_ENTRIES, CACHE_SECONDS, reading
from pipelines.stores.metrics import Metric, MetricValue, catalogue_from_json, daily_values, evaluate

if TYPE_CHECKING:
    import duckdb

    from pipelines.stores.releases import Release

# The six of the overview, in reading order, and who stands beside whom.
OVERVIEW_KPIS: Final = ("net_sales", "order_cycle_time_p50_days", "on_time_in_full", "unit_fill_rate", "in_stock_rate", "return_rate")
COMPANIONS: Final = {"order_cycle_time_p50_days": "order_cycle_time_p90_days"}
WEEKLY_ABOVE_DAYS: Final = 28  # longer periods draw their sparkline by weeks


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


@st.cache_data(max_entries=CACHE_ENTRIES, ttl=CACHE_SECONDS, show_spinner="Measuring", hash_funcs=BY_RELEASE)
def overview_kpis(release: Release, days: int, *, as_of: date) -> list[Kpi]:
    """The six of the overview over the `days` complete days up to `as_of`."""
    with reading(release) as conn:
        row = conn.execute("select catalogue from meta.metric_catalogue").fetchone()
        catalogue = catalogue_from_json(row[0] if row else "{}")
        return [_kpi(conn, catalogue, name, days=days, as_of=as_of) for name in OVERVIEW_KPIS]


def _kpi(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], name: str, *, days: int, as_of: date) -> Kpi:
    value = _value(conn, catalogue, name, days=days, as_of=as_of)
    row = conn.execute("select min(ordered_date) from marts.fct_orders where not is_test").fetchone()
    first_day: date = row[0] if row and row[0] else value.period_from
    prior = None if value.prior is None else float(value.prior)
    change = None if value.change is None else float(value.change)
    return Kpi(
        metric=catalogue[name],
        value=value,
        change=change,
        change_rate=change / prior if change is not None and prior is not None and prior > 0 else None,
        data_from=first_day if first_day > value.period_from else None,
        companion=_kpi(conn, catalogue, COMPANIONS[name], days=days, as_of=as_of) if name in COMPANIONS else None,
        course=_course(daily_values(conn, catalogue, name, since=value.period_from, until=value.period_to), days=days),
    )


def _value(conn: duckdb.DuckDBPyConnection, catalogue: dict[str, Metric], name: str, *, days: int, as_of: date) -> MetricValue:
    """A metric that has to mature covers as many days as the others, ending earlier."""
    maturity_days = catalogue[name].maturity_days if name in catalogue else 0
    since = as_of - timedelta(days=maturity_days + days - 1)
    return evaluate(conn, catalogue, [name], since=since, until=as_of)[0]


def _course(daily: pl.DataFrame, *, days: int) -> tuple[float, ...]:
    """What a sparkline draws: days, or for long periods whole weeks as ratios of sums."""
    if days > WEEKLY_ABOVE_DAYS and daily.height == days:
        week = (pl.lit(daily["metric_date"].max()) - pl.col("metric_date")).dt.total_days() // 7
        sums = daily.group_by(week.alias("week")).agg(pl.len(), pl.col("numerator", "denominator").sum()).filter(pl.col("len") == 7)
        is_ratio = daily["denominator"].is_not_null().any()
        value = pl.col("numerator") / pl.col("denominator") if is_ratio else pl.col("numerator")
        daily = sums.sort("week", descending=True).select(value.alias("value"))
    return tuple(daily.filter(pl.col("value").is_finite())["value"])
