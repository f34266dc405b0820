with shipped as (
    select
        shipment_lines.order_line_id,
        shipment_lines.shipped_qty,
        shipments.shipped_at,
        shipments.delivered_at,
        {# a parcel that arrived has left, even where nobody scanned it out #}
        coalesce(shipments.shipped_at, shipments.delivered_at) as left_at
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    where
        coalesce(shipments.shipped_at, shipments.delivered_at) is not null
        and shipments.status not in ('cancelled', 'canceled', 'voided')
),

shipped_by_line as (
    select
        shipped.order_line_id,
        cast(sum(shipped.shipped_qty) as bigint) as shipped_qty,
        cast(sum(case when {{ local_date('shipped.left_at') }} <= orders.promised_ship_date then shipped.shipped_qty else 0 end) as bigint)
            as left_on_time_qty,
        cast(sum(case when shipped.delivered_at is not null then shipped.shipped_qty else 0 end) as bigint) as delivered_qty,
        min(shipped.shipped_at) as first_shipped_at,
        min(shipped.left_at) as first_left_at,
        max(shipped.delivered_at) as last_delivered_at,
        coalesce(bool_or(shipped.delivered_at < shipped.shipped_at), false) as has_backward_shipment
    from shipped
    inner join {{ ref('stg_shop__order_lines') }} as order_lines using (order_line_id)
    inner join {{ ref('int_orders_promised') }} as orders on order_lines.order_id = orders.order_id
    group by shipped.order_line_id
)

select
    order_lines.order_line_id,
    order_lines.order_id,
    order_lines.sku,
    products.category,
    orders.channel_id,
    orders.location_id,
    orders.ship_to_country,
    orders.ship_to_region,
    orders.ordered_date,
    orders.promised_ship_date,
    orders.ship_promise_basis,
    orders.is_cancelled,
    orders.is_test,
    orders.customer_key,
    orders.currency_code,
    order_lines.ordered_qty,
    coalesce(shipped.shipped_qty, 0) as shipped_qty,
    {# least() passes over null, so a line that never shipped has to be zero before it #}
    least(coalesce(shipped.left_on_time_qty, 0), order_lines.ordered_qty) as shipped_on_time_qty,
    coalesce(shipped.delivered_qty, 0) as delivered_qty,
    shipped.first_shipped_at,
    {{ local_date('shipped.first_left_at') }} as shipped_date,
    shipped.last_delivered_at,
    coalesce(shipped.has_backward_shipment, false) as has_backward_shipment,
    {{ minor_units('(order_lines.ordered_qty * order_lines.unit_price)', 'orders.currency_code') }} as gross_amount,
    {{ minor_units('(order_lines.ordered_qty * order_lines.unit_price - coalesce(order_lines.total_discount, 0))', 'orders.currency_code') }} as net_amount,
    order_lines.is_gift_card,
    not (order_lines.is_gift_card or order_lines.is_special_order or order_lines.is_drop_ship) as is_from_stock
from {{ ref('stg_shop__order_lines') }} as order_lines
inner join {{ ref('int_orders_promised') }} as orders using (order_id)
left join {{ ref('stg_shop__products') }} as products using (sku)
left join shipped_by_line as shipped using (order_line_id)
