select
    location_id,
    name,
    is_active,
    holding_cost_rate,
    transfer_lead_time_days,
    location_type,
    fulfills_online
from {{ ref('stg_shop__locations') }}
