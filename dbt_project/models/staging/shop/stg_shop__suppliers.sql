select
    supplier_id,
    name,
    currency as currency_code,
    review_period_days
from {{ source('shop', 'suppliers') }}
where not coalesce(is_deleted, false)
