select
    review_id,
    order_id,
    score,
    created_at
from {{ source('shop', 'reviews') }}
where not coalesce(is_deleted, false)
