"""Reads of the pages about forecasts: one item's demand with what is expected of it, its evidence, and whether forecasts broke."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from dashboards.queries.reading import read_frame, reading
from pipelines.stores.check_results import withheld_reason as reason_of

if TYPE_CHECKING:
    import polars as pl

    from dashboards.queries.releases import Served

DEMAND_DAYS: Final = 56


@dataclass(frozen=True, slots=True)
class DemandOutlook:
    """One item's daily demand around the as-of date.

    Attributes:
        history: demand_date, demand_qty, is_censored (the day ended without stock); the days up to the as-of date.
        days: demand_date, demand_mean_qty, demand_p10_qty, demand_p50_qty, demand_p90_qty, statistical_mean_qty, override_id; the
            days ahead, empty where the item has no forecast.
        overrides: author, kind, value, reason, from_date, to_date of the overrides that hold on any of them.
        promotions: from_date, to_date of the runs of days on which the item is promoted, among the days shown.
        judged_days_count: Days in stock that earlier overrides of the item held on.
        override_fva_rate: Share of the forecast's error that they saved; None where there were none.
        as_of_date: The last complete day.
    """

    history: pl.DataFrame
    days: pl.DataFrame
    overrides: pl.DataFrame
    promotions: pl.DataFrame
    judged_days_count: int
    override_fva_rate: float | None
    as_of_date: date

    @property
    def sold_a_day(self) -> float | None:
        """Mean demand of the past days in stock that are shown; None where there is none."""
        return _mean(self.history.filter(~self.history["is_censored"])["demand_qty"])

    @property
    def forecast_a_day(self) -> float | None:
        """Mean of the days ahead as forecast."""
        return _mean(self.days["statistical_mean_qty"])

    @property
    def expected_a_day(self) -> float | None:
        """Mean of the days ahead with people's overrides."""
        return _mean(self.days["demand_mean_qty"])

    @property
    def censored_days_count(self) -> int:
        """Past days shown that ended without stock."""
        return int(self.history["is_censored"].sum())


def demand_outlook(served: Served, *, sku: str, location_id: str, history_days: int = DEMAND_DAYS) -> DemandOutlook:
    """What was wanted of an item, what is forecast, and what people expect instead."""
    release, as_of, item = served.release, served.context.as_of_date, (sku, location_id)
    first = as_of - timedelta(days=history_days - 1)
    judged = read_frame(release, _JUDGED_OVERRIDES, item).row(0, named=True)
    return DemandOutlook(
        history=read_frame(release, _DEMAND_HISTORY, (as_of, first, *item)),
        days=read_frame(release, _DEMAND_AHEAD, item),
        overrides=read_frame(release, _OVERRIDES, item),
        promotions=read_frame(release, _PROMOTIONS, (sku, first, *item)),
        judged_days_count=judged["judged_days_count"],
        override_fva_rate=judged["fva_rate"],
        as_of_date=as_of,
    )


def evidence(served: Served, *, sku: str, location_id: str) -> dict[str, Any] | None:
    """How the item's forecast did on past cut-offs, and seasonal naive beside it; None where nothing could be tested."""
    frame = read_frame(served.release, "select * from planning.backtest_scores where sku = ? and location_id = ?", (sku, location_id))
    return frame.fill_nan(None).row(0, named=True) if frame.height else None


def withheld_reason(served: Served) -> str | None:
    """Why the run of this release suggests no orders; None where its forecasts passed their checks."""
    with reading(served.release) as conn:
        return reason_of(conn)


def _mean(values: pl.Series) -> float | None:
    known = values.drop_nulls()
    return float(known.sum()) / len(known) if len(known) else None


_DEMAND_HISTORY: Final = """
    select cast(day as date) as demand_date, coalesce(demand.demand_qty, 0)::double as demand_qty,
        coalesce(stock.available_qty <= 0, false) as is_censored
    from planning.demand_series as series
    cross join unnest(generate_series(greatest(series.first_date, ?2)::timestamp, ?1::timestamp, interval 1 day)) as days(day)
    left join marts.fct_demand_daily as demand
        on demand.sku = series.sku and demand.location_id = series.location_id and demand.demand_date = cast(day as date)
    left join marts.fct_stock_daily as stock
        on stock.sku = series.sku and stock.location_id = series.location_id and stock.stock_date = cast(day as date)
    where series.sku = ?3 and series.location_id = ?4 and series.reason is null
    order by demand_date
"""

_DEMAND_AHEAD: Final = """
    select demand_date, demand_mean_qty, demand_p10_qty, demand_p50_qty, demand_p90_qty, statistical_mean_qty, override_id
    from planning.forecast_daily
    where sku = ? and location_id = ? and demand_mean_qty is not null
    order by demand_date
"""

_OVERRIDES: Final = """
    select author, kind, value, reason, from_date, to_date
    from meta.forecast_overrides
    where override_id in (select override_id from planning.forecast_daily where sku = ? and location_id = ?)
    order by from_date, override_id
"""

_PROMOTIONS: Final = """
    select min(promotion_date) as from_date, max(promotion_date) as to_date
    from (
        select promotion_date, promotion_date - row_number() over (order by promotion_date)::int as island from marts.fct_promotion_days
        where sku = ? and promotion_date between ?
            and (select max(demand_date) from planning.forecast_daily where sku = ? and location_id = ?)
    )
    group by island
    order by from_date
"""

_JUDGED_OVERRIDES: Final = """
    select coalesce(sum(n), 0)::bigint as judged_days_count,
        1 - sum(override_absolute_error_qty) / nullif(sum(statistical_absolute_error_qty), 0) as fva_rate
    from marts.fct_forecast_overrides
    where sku = ? and location_id = ?
"""
