select
    override_id,
    sku,
    location_id,
    demand_date,
    as_of_date,
    kind as override_kind,
    value as override_value,
    reason,
    author,
    statistical_mean_qty,
    override_mean_qty
from {{ source('history', 'forecast_overrides') }}
