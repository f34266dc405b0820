select
    location_id,
    name,
    type as location_type,
    time_zone,
    coalesce(is_active, true) as is_active,
    coalesce(fulfills_online, true) as fulfills_online,
    holding_cost_rate,
    transfer_lead_time_days
from {{ source('shop', 'locations') }}
where not coalesce(is_deleted, false)
