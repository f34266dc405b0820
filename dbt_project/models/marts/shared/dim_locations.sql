select
    location_id,
    name,
    is_active,
    holding_cost_rate
from {{ ref('stg_shop__locations') }}
