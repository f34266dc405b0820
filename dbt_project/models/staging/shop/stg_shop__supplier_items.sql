select
    supplier_id,
    sku,
    lead_time_days,
    unit_cost,
    currency as currency_code,
    min_order_qty,
    order_multiple,
    max_order_qty,
    priority,
    effective_from as effective_from_date,
    effective_to as effective_to_date
from {{ source('shop', 'supplier_items') }}
where not coalesce(is_deleted, false)
