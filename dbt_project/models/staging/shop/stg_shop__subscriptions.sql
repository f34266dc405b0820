select
    customer_key,
    started_at,
    cancelled_at
from {{ source('shop', 'subscriptions') }}
where not coalesce(is_deleted, false)
