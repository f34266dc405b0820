select
    order_id,
    placed_at,
    released_at,
    lower(outcome) as outcome,
    amount
from {{ source('shop', 'payment_holds') }}
where not coalesce(is_deleted, false)
