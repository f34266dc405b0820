select
    po_line_id,
    cancelled_qty,
    expected_at
from {{ source('meta', 'order_changes') }}
