{{ config(**per_order()) }}

with sales as (
    select
        'sale:' || order_line_id as sales_event_id,
        'sale' as event_type,
        ordered_date as event_date,
        ordered_date as order_date,
        order_id,
        order_line_id = min(order_line_id) over (partition by order_id) as is_first_line_of_order,
        customer_key,
        sku,
        channel_id,
        location_id,
        ship_to_country,
        ship_to_region,
        ordered_qty as qty,
        gross_amount,
        net_amount,
        currency_code
    from {{ ref('int_order_lines_fulfilled') }}
    where not is_cancelled and not is_test and {{ is_changed('order_id') }}
),

refunds as (
    select
        'refund:' || returned.return_line_id as sales_event_id,
        'refund' as event_type,
        {{ local_date('returned.refunded_at') }} as event_date,
        orders.ordered_date as order_date,
        returned.order_id,
        false as is_first_line_of_order,
        orders.customer_key,
        returned.sku,
        orders.channel_id,
        coalesce(orders.location_id, 'unassigned') as location_id,
        orders.ship_to_country,
        orders.ship_to_region,
        -returned.returned_qty as qty,
        cast(null as bigint) as gross_amount,
        -returned.refund_amount as net_amount,
        returned.currency_code
    from {{ ref('int_return_lines_refunded') }} as returned
    left join {{ ref('int_orders_promised') }} as orders using (order_id)
    where
        returned.refunded_at is not null
        and {{ is_changed('returned.order_id') }}
        and not coalesce(orders.is_cancelled, false)
        and not coalesce(orders.is_test, false)
),

events as (
    select * from sales
    union all
    select * from refunds
)

{# no rate is no amount: the metric over such a day is blocked, never short of it #}
select
    events.sales_event_id,
    events.event_type,
    events.event_date,
    events.order_date,
    events.order_id,
    events.is_first_line_of_order,
    events.customer_key,
    events.sku,
    events.channel_id,
    events.location_id,
    events.ship_to_country,
    events.ship_to_region,
    events.qty,
    events.gross_amount,
    {{ reporting_amount('events.gross_amount', 'events.currency_code', 'rates.reporting_rate') }} as gross_reporting_amount,
    events.net_amount,
    {{ reporting_amount('events.net_amount', 'events.currency_code', 'rates.reporting_rate') }} as net_reporting_amount,
    events.currency_code
from events
left join {{ ref('int_exchange_rates') }} as rates on events.currency_code = rates.currency_code and events.event_date = rates.rate_date
