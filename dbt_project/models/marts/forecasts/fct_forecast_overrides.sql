select
    override_id,
    any_value(sku) as sku,
    any_value(location_id) as location_id,
    any_value(author) as author,
    any_value(reason) as reason,
    any_value(override_kind) as override_kind,
    any_value(override_value) as override_value,
    min(demand_date) as first_date,
    max(demand_date) as last_date,
    count(*) filter (where not is_censored) as n,
    count(*) filter (where is_censored) as censored_days_count,
    sum(actual_qty) filter (where not is_censored) as actual_qty,
    sum(override_mean_qty) filter (where not is_censored) as override_qty,
    sum(statistical_mean_qty) filter (where not is_censored) as statistical_qty,
    sum(abs(override_mean_qty - actual_qty)) filter (where not is_censored) as override_absolute_error_qty,
    sum(abs(statistical_mean_qty - actual_qty)) filter (where not is_censored) as statistical_absolute_error_qty,
    round(1 - override_absolute_error_qty / nullif(statistical_absolute_error_qty, 0), 6) as fva_rate
from {{ ref('fct_forecast_override_days') }}
group by override_id
