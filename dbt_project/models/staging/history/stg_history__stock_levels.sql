select
    sku,
    location_id,
    valid_from_date,
    on_hand as on_hand_qty,
    committed as committed_qty,
    reserved as reserved_qty,
    damaged as damaged_qty
from {{ source('history', 'stock_levels') }}
