select
    shipment_id,
    order_id,
    lower(status) as status,
    location_id,
    carrier,
    service,
    shipping_cost,
    shipped_at,
    delivered_at,
    estimated_delivery_at,
    document_error as has_document_error
from {{ source('shop', 'shipments') }}
where not coalesce(is_deleted, false)
