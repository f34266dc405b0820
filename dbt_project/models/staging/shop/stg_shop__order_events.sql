select
    event_id,
    order_id,
    lower(event_type) as event_type,
    occurred_at,
    lower(actor_type) as actor_type,
    actor_role,
    station
from {{ source('shop', 'order_events') }}
where not coalesce(is_deleted, false)
