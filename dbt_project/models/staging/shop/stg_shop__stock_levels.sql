select
    sku,
    location_id,
    on_hand as on_hand_qty,
    committed as committed_qty,
    reserved as reserved_qty,
    incoming as incoming_qty,
    damaged as damaged_qty,
    version as stock_version
from {{ source('shop', 'stock_levels') }}
where not coalesce(is_deleted, false)
