select
    po_id,
    supplier_id,
    lower(status) as status,
    created_at,
    confirmed_at,
    expected_at,
    received_at,
    currency as currency_code
from {{ source('shop', 'purchase_orders') }}
where not coalesce(is_deleted, false)
