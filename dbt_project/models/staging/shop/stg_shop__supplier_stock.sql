select
    supplier_id,
    sku,
    available as available_qty,
    as_of as stock_at
from {{ source('shop', 'supplier_stock') }}
where not coalesce(is_deleted, false)
