{{ config(**per_order()) }}

with order_values as (
    select
        order_id,
        cast(sum(ordered_qty) as bigint) as qty,
        cast(sum(net_amount) as bigint) as amount
    from {{ ref('int_order_lines_fulfilled') }}
    where {{ is_changed('order_id') }}
    group by order_id
),

orders as (
    select
        orders.order_id,
        orders.created_at,
        orders.approved_at,
        orders.released_at,
        orders.cancelled_at,
        order_values.qty,
        order_values.amount
    from {{ ref('stg_shop__orders') }} as orders
    left join order_values using (order_id)
    where {{ is_changed('orders.order_id') }}
),

parcels as (
    select
        lines.shipment_id,
        cast(sum(lines.shipped_qty) as bigint) as qty
    from {{ ref('stg_shop__shipment_lines') }} as lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    where {{ is_changed('shipments.order_id') }}
    group by lines.shipment_id
),

shipments as (
    select
        shipments.*,
        parcels.qty
    from {{ ref('stg_shop__shipments') }} as shipments
    left join parcels using (shipment_id)
    where not {{ is_called_off_parcel('shipments.status') }} and {{ is_changed('shipments.order_id') }}
),

refunded as (
    select
        return_id,
        any_value(order_id) as order_id,
        any_value(currency_code) as currency_code,
        cast(sum(returned_qty) as bigint) as qty,
        cast(sum(refund_amount) as bigint) as amount
    from {{ ref('int_return_lines_refunded') }}
    where return_id in (select return_id from {{ ref('int_return_lines_refunded') }} where {{ is_changed('order_id') }})
    group by return_id
),

returns as (
    select
        refunded.*,
        returns.created_at,
        returns.received_at,
        returns.refunded_at
    from {{ ref('stg_shop__returns') }} as returns
    inner join refunded using (return_id)
),

payments as (
    select
        invoices.order_id,
        payments.payment_id,
        payments.paid_at,
        payments.amount
    from {{ ref('stg_shop__payments') }} as payments
    inner join {{ ref('stg_shop__invoices') }} as invoices using (invoice_id)
    where {{ is_changed('invoices.order_id') }}
),

{# name, relation, moment, what it refers to, units, minor units, major units: of an amount at most one of the last two is known #}
{% set events = [
    ('ordered', 'orders', 'created_at', 'order_id', 'qty', 'amount', 'null'),
    ('approved', 'orders', 'approved_at', 'order_id', 'null', 'null', 'null'),
    ('released', 'orders', 'released_at', 'order_id', 'null', 'null', 'null'),
    ('cancelled', 'orders', 'cancelled_at', 'order_id', 'null', 'null', 'null'),
    ('payment_hold_placed', ref('stg_shop__payment_holds'), 'placed_at', 'order_id', 'null', 'null', 'amount'),
    ('payment_hold_released', ref('stg_shop__payment_holds'), 'released_at', 'order_id', 'null', 'null', 'amount'),
    ('shipped', 'shipments', 'shipped_at', 'shipment_id', 'qty', 'null', 'null'),
    ('delivered', 'shipments', 'delivered_at', 'shipment_id', 'qty', 'null', 'null'),
    ('invoiced', ref('stg_shop__invoices'), 'issued_at', 'invoice_id', 'null', 'null', 'amount'),
    ('paid', 'payments', 'paid_at', 'payment_id', 'null', 'null', 'amount'),
    ('return_announced', 'returns', 'created_at', 'return_id', 'qty', 'null', 'null'),
    ('return_received', 'returns', 'received_at', 'return_id', 'qty', 'null', 'null'),
    ('refunded', 'returns', 'refunded_at', 'return_id', 'null', 'amount', 'null'),
    ('reviewed', ref('stg_shop__reviews'), 'created_at', 'review_id', 'null', 'null', 'null'),
] %}

events as (
    {% for event_type, relation, moment, reference, qty, minor, major in events -%}
    select
        order_id,
        '{{ event_type }}' as event_type,
        {{ moment }} as event_at,
        {{ reference }} as reference_id,
        cast({{ qty }} as bigint) as qty,
        cast({{ minor }} as bigint) as minor_amount,
        cast({{ major }} as decimal(18, 4)) as major_amount,
        {{ 'currency_code' if relation == 'returns' else 'cast(null as varchar)' }} as currency_code,
        {{ 'score' if event_type == 'reviewed' else 'cast(null as bigint)' }} as review_score
    from {{ relation }}
    where {{ moment }} is not null and {{ is_changed('order_id') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    orders.customer_key,
    events.order_id,
    events.event_at,
    events.event_type,
    orders.channel_id,
    events.reference_id,
    events.qty,
    coalesce(events.minor_amount, {{ minor_units('events.major_amount', 'orders.currency_code') }}) as amount,
    coalesce(events.currency_code, orders.currency_code) as currency_code,
    events.review_score
from events
inner join {{ ref('int_orders_promised') }} as orders using (order_id)
where {{ is_changed('orders.order_id') }}
