select
    transfer_id,
    sku,
    quantity as transfer_qty
from {{ source('shop', 'transfer_lines') }}
where not coalesce(is_deleted, false)
