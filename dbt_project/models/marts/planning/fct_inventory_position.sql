select
    sku,
    location_id,
    on_hand_qty,
    committed_qty,
    reserved_qty,
    damaged_qty,
    on_hand_qty - coalesce(committed_qty, 0) - coalesce(reserved_qty, 0) - coalesce(damaged_qty, 0) as available_qty,
    stock_version
from {{ ref('stg_shop__stock_levels') }}
