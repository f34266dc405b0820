select
    order_id,
    created_at,
    approved_at,
    released_at,
    cancelled_at,
    cancel_reason,
    customer_key,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    requested_delivery_at,
    promised_ship_at,
    promised_delivery_at,
    currency as currency_code,
    {{ minor_units('total_price', 'currency') }} as total_amount,
    coalesce(is_test, false) as is_test
from {{ source('shop', 'orders') }}
where not coalesce(is_deleted, false)
