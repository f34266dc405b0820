select
    shipment_id,
    order_id,
    lower(status) as status,
    location_id,
    shipped_at,
    delivered_at
from {{ source('shop', 'shipments') }}
where not coalesce(is_deleted, false)
