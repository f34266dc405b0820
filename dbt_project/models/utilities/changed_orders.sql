select
    order_id,
    ordered_at
from {{ source('meta', 'changed_orders') }}
