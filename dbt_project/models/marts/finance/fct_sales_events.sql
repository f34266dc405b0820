with sales as (
    select
        'sale:' || order_line_id as sales_event_id,
        'sale' as event_type,
        ordered_date as event_date,
        order_id,
        sku,
        category,
        channel_id,
        location_id,
        ship_to_country,
        ship_to_region,
        ordered_qty as qty,
        net_amount,
        currency_code
    from {{ ref('int_order_lines_fulfilled') }}
    where not is_cancelled and not is_test
),

refunds as (
    select
        'refund:' || returned.return_line_id as sales_event_id,
        'refund' as event_type,
        {{ local_date('returned.refunded_at') }} as event_date,
        returned.order_id,
        returned.sku,
        products.category,
        orders.channel_id,
        coalesce(orders.location_id, 'unassigned') as location_id,
        orders.ship_to_country,
        orders.ship_to_region,
        -returned.returned_qty as qty,
        -returned.refund_amount as net_amount,
        returned.currency_code
    from {{ ref('int_return_lines_refunded') }} as returned
    left join {{ ref('int_orders_promised') }} as orders using (order_id)
    left join {{ ref('stg_shop__products') }} as products on returned.sku = products.sku
    where
        returned.refunded_at is not null
        and not coalesce(orders.is_cancelled, false)
        and not coalesce(orders.is_test, false)
)

select * from sales
union all
select * from refunds
