select
    movement_id,
    sku,
    location_id,
    quantity as movement_qty,
    movement_type,
    occurred_at
from {{ source('shop', 'stock_movements') }}
where not coalesce(is_deleted, false)
