select
    location_id,
    name,
    location_type,
    time_zone,
    is_active,
    holding_cost_rate
from {{ ref('stg_shop__locations') }}
