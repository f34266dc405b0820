"""Reads about how good forecasts have been: which were worse than naive, which series have none, and what this run had to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dashboards.queries.demand import PICKED
from dashboards.queries.reading import read_frame

if TYPE_CHECKING:
    import polars as pl

    from dashboards.queries.demand import Scope
    from dashboards.queries.releases import Served


def worse_than_naive(served: Served, scope: Scope) -> pl.DataFrame:
    """Series whose forecast did worse than seasonal naive on past cut-offs, those that cost most units of error first.

    Returns:
        sku, title, location_id, location, actual_qty, wape_rate, naive_wape_rate, fva_rate, added_error_qty, history_days_count,
        censored_days_count, model, fallback_reason.
    """
    return read_frame(served.release, _WORSE, scope.bound)


def tested(served: Served, scope: Scope) -> dict[str, Any]:
    """series_count, worse_count, actual_qty and worse_actual_qty of the series that the backtest could test."""
    return read_frame(served.release, _TESTED, scope.bound).row(0, named=True)


def without_forecast(served: Served, scope: Scope) -> pl.DataFrame:
    """Series without a forecast of their own, with what stands in for it and why; those most wanted lately first.

    Returns:
        state ("No forecast", "Fallback" or "Broken"), sku, title, location_id, location, kind, reason, model, recent_qty (units wanted
        in the last 91 days).
    """
    return read_frame(served.release, _WITHOUT_FORECAST, (*scope.bound, served.context.as_of_date))


def forecast_checks(served: Served) -> pl.DataFrame:
    """check_name, is_passed, measured_rate, usual_rate, limit_rate, basis, reason: what this run's forecasts had to pass."""
    return read_frame(served.release, "select * from planning.forecast_checks order by check_name")


_TESTED: Final = f"""
    with {PICKED}
    select count(*) as series_count, count(*) filter (fva_rate < 0) as worse_count, coalesce(sum(actual_qty), 0)::double as actual_qty,
        coalesce(sum(actual_qty) filter (fva_rate < 0), 0)::double as worse_actual_qty
    from planning.backtest_scores semi join picked using (sku, location_id)
    where fva_rate is not null
"""

_WORSE: Final = f"""
    with {PICKED}
    select picked.sku, picked.title, picked.location_id, picked.location, scores.actual_qty, scores.wape_rate, scores.naive_wape_rate,
        scores.fva_rate, (scores.wape_rate - scores.naive_wape_rate) * scores.actual_qty as added_error_qty, scores.history_days_count,
        scores.censored_days_count, scores.model, scores.fallback_reason
    from planning.backtest_scores as scores join picked on picked.sku = scores.sku and picked.location_id = scores.location_id
    where scores.fva_rate < 0
    order by added_error_qty desc nulls last, picked.sku, picked.location_id
"""

_WITHOUT_FORECAST: Final = f"""
    with {PICKED},
    fallbacks as (
        select sku, location_id, any_value(model) as model, any_value(fallback_reason) as reason from planning.forecast_daily
        where fallback_reason is not null group by all
    ),
    recent as (
        select sku, location_id, sum(demand_qty)::double as recent_qty from marts.fct_demand_daily
        where demand_date > ?5::date - 91 group by all
    ),
    found as (
        select 'No forecast' as state, sku, location_id, reason_kind as kind, reason, null as model from picked where reason is not null
        union all
        select 'Fallback', sku, location_id, 'model', reason, model from fallbacks
        union all
        select 'Broken', sku, location_id, 'broken', reason, null from planning.forecast_broken
    )
    select found.state, found.sku, picked.title, found.location_id, picked.location, found.kind, found.reason, found.model,
        coalesce(recent.recent_qty, 0) as recent_qty
    from found join picked on picked.sku = found.sku and picked.location_id = found.location_id
    left join recent on recent.sku = found.sku and recent.location_id = found.location_id
    order by recent_qty desc, found.sku, found.location_id
"""
