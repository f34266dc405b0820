select
    order_line_id,
    order_id,
    sku,
    quantity as ordered_qty,
    fulfillable_quantity as fulfillable_qty,
    unit_price,
    total_discount,
    coalesce(is_gift_card, false) as is_gift_card,
    coalesce(is_special_order, false) as is_special_order,
    coalesce(is_drop_ship, false) as is_drop_ship
from {{ source('shop', 'order_lines') }}
where not coalesce(is_deleted, false)
