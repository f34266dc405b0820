select
    promotion_id,
    sku,
    category,
    channel_id,
    starts_at,
    ends_at,
    mechanic,
    discount as discount_rate
from {{ source('shop', 'promotions') }}
where not coalesce(is_deleted, false)
