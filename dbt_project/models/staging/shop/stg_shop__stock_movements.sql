select
    movement_id,
    sku,
    location_id,
    quantity as movement_qty,
    lower(movement_type) as movement_type,
    occurred_at,
    reference_type,
    reference_id
from {{ source('shop', 'stock_movements') }}
where not coalesce(is_deleted, false)
