select
    invoice_id,
    order_id,
    issued_at,
    due_at,
    amount
from {{ source('shop', 'invoices') }}
where not coalesce(is_deleted, false)
