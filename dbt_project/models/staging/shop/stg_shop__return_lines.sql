select
    return_line_id,
    return_id,
    order_line_id,
    sku,
    quantity as returned_qty,
    reason_code
from {{ source('shop', 'return_lines') }}
where not coalesce(is_deleted, false)
