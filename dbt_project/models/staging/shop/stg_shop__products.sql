select
    sku,
    title,
    category,
    vendor,
    status,
    unit_cost,
    list_price,
    currency as currency_code,
    weight,
    volume,
    launched_at,
    discontinued_at,
    successor_sku,
    shelf_life_days
from {{ source('shop', 'products') }}
where not coalesce(is_deleted, false)
