select
    payment_id,
    invoice_id,
    paid_at,
    amount
from {{ source('shop', 'payments') }}
where not coalesce(is_deleted, false)
