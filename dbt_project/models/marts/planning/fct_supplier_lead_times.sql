with received as (
    select
        lines.po_line_id,
        orders.supplier_id,
        lines.sku,
        lines.location_id,
        {{ local_date('orders.confirmed_at') }} as confirmed_date,
        {{ local_date('coalesce(lines.received_at, orders.received_at)') }} as received_date
    from {{ ref('stg_shop__purchase_order_lines') }} as lines
    inner join {{ ref('stg_shop__purchase_orders') }} as orders using (po_id)
    where lines.received_qty > 0
)

select
    po_line_id,
    supplier_id,
    sku,
    location_id,
    confirmed_date,
    received_date,
    received_date - confirmed_date as lead_time_days
from received
where received_date >= confirmed_date
