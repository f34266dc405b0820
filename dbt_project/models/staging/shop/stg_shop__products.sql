select
    sku,
    title,
    category,
    vendor,
    status,
    unit_cost,
    list_price,
    currency as currency_code,
    launched_at,
    discontinued_at
from {{ source('shop', 'products') }}
where not coalesce(is_deleted, false)
