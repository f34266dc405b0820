select
    supplier_id,
    name,
    order_minimum_amount as order_minimum,
    currency as currency_code,
    review_period_days
from {{ source('shop', 'suppliers') }}
where not coalesce(is_deleted, false)
