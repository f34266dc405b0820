select
    po_line_id,
    po_id,
    sku,
    location_id,
    ordered_qty,
    received_qty,
    unit_cost,
    expected_at,
    received_at,
    source_rec_id as rec_id
from {{ source('shop', 'purchase_order_lines') }}
where not coalesce(is_deleted, false)
