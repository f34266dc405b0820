select
    sku,
    channel_id,
    price,
    currency as currency_code,
    valid_from as valid_from_at,
    valid_to as valid_to_at
from {{ source('shop', 'prices') }}
where not coalesce(is_deleted, false)
