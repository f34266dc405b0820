select
    shipment_id,
    order_line_id,
    quantity as shipped_qty
from {{ source('shop', 'shipment_lines') }}
where not coalesce(is_deleted, false)
