{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('int_orders_promised') }}
    where {{ is_changed('order_id') }}
),

{# money paid back for goods that never came back paid first for units that were never sent: that is a refund, on its own day #}
paid_back as (
    select
        order_line_id,
        sum(returned_qty) as paid_back_qty
    from {{ ref('int_return_lines_refunded') }}
    where
        refunded_at is not null
        and (received_at is null or restock_type = 'cancel')
        and order_line_id is not null
        and {{ is_changed('order_id') }}
    group by order_line_id
),

lines as (
    select
        lines.*,
        greatest(lines.given_up_qty - coalesce(paid_back.paid_back_qty, 0), 0) as unsold_qty
    from {{ ref('int_order_lines_fulfilled') }} as lines
    left join paid_back using (order_line_id)
    where not lines.is_cancelled and not lines.is_test and {{ is_changed('lines.order_id') }}
),

sales as (
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
        cast(ordered_qty - unsold_qty as bigint) as qty,
        {% for amount in ['gross_amount', 'gross_reporting_amount', 'net_amount', 'net_reporting_amount'] -%}
        case when unsold_qty > 0 then {{ amount }} - cast(round({{ amount }} * unsold_qty / ordered_qty) as bigint) else {{ amount }} end
            as {{ amount }},
        {% endfor -%}
        currency_code
    from lines
    where unsold_qty = 0 or unsold_qty < ordered_qty
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
        cast(null as bigint) as gross_reporting_amount,
        -returned.refund_amount as net_amount,
        returned.currency_code
    from {{ ref('int_return_lines_refunded') }} as returned
    left join orders using (order_id)
    where
        returned.refunded_at is not null
        and {{ is_changed_or_missing('returned.order_id') }}
        and not coalesce(orders.is_cancelled, false)
        and not coalesce(orders.is_test, false)
),

{# no rate is no amount: the metric over such a day is blocked, never short of it #}
refunds_valued as (
    select
        refunds.*,
        {{ reporting_amount('refunds.net_amount', 'refunds.currency_code', 'rates.reporting_rate') }} as net_reporting_amount
    from refunds
    left join {{ ref('int_exchange_rates') }} as rates on refunds.currency_code = rates.currency_code and refunds.event_date = rates.rate_date
)

select
    sales_event_id,
    event_type,
    event_date,
    order_date,
    order_id,
    is_first_line_of_order,
    customer_key,
    sku,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    qty,
    gross_amount,
    gross_reporting_amount,
    net_amount,
    net_reporting_amount,
    currency_code
from sales
union all by name
select * from refunds_valued
