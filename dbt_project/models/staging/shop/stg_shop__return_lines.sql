select
    return_line_id,
    return_id,
    order_line_id,
    sku,
    quantity as returned_qty,
    lower(reason_code) as reason_code,
    lower(restock_type) as restock_type,
    lower(condition) as condition
from {{ source('shop', 'return_lines') }}
where not coalesce(is_deleted, false)
