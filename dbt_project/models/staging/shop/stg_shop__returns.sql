select
    return_id,
    order_id,
    created_at,
    received_at,
    refunded_at,
    refund_amount as refund,
    currency as currency_code,
    exchange_order_id,
    match_basis
from {{ source('shop', 'returns') }}
where not coalesce(is_deleted, false)
