select
    customer_key,
    country,
    created_at
from {{ source('shop', 'customers') }}
where not coalesce(is_deleted, false)
