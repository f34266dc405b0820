select
    sku,
    location_id,
    {{ local_date('occurred_at') }} as receipt_date,
    not {{ is_stock_receipt('movement_qty', 'movement_type', 'reference_type') }} as is_opening,
    cast(sum(movement_qty) as bigint) as received_qty
from {{ ref('stg_shop__stock_movements') }}
where
    {{ is_stock_receipt('movement_qty', 'movement_type', 'reference_type') }}
    or (movement_qty > 0 and movement_type = 'opening')
group by all
