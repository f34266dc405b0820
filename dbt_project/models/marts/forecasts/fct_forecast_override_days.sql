select
    kept.override_id,
    kept.demand_date,
    kept.sku,
    kept.location_id,
    kept.as_of_date as forecast_date,
    kept.override_kind,
    kept.override_value,
    kept.reason,
    kept.author,
    kept.statistical_mean_qty,
    kept.override_mean_qty,
    cast(coalesce(demand.demand_qty, 0) as double) as actual_qty,
    coalesce(stock.available_qty <= 0, false) as is_censored
from {{ ref('stg_history__forecast_overrides') }} as kept
cross join {{ ref('run_context') }} as context
left join {{ ref('fct_demand_daily') }} as demand using (sku, location_id, demand_date)
left join {{ ref('fct_stock_daily') }} as stock
    on stock.sku = kept.sku and stock.location_id = kept.location_id and stock.stock_date = kept.demand_date
where kept.demand_date <= context.as_of_date
