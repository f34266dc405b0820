{# Marts as the last transform left them say which orders time itself has changed. They are read by name: they are built after this. #}
{%- set is_known = execute and not flags.FULL_REFRESH -%}
{%- set orders = adapter.get_relation(this.database, 'marts', 'fct_orders') if is_known -%}
{%- set invoices = adapter.get_relation(this.database, 'marts', 'fct_invoices') if is_known -%}

with touched as (
    select
        order_id,
        {{ local_date('ordered_at') }} as ordered_date
    from {{ ref('changed_orders') }}
),

{# a new as-of date makes promises due, open orders and invoices older, and counts what happened since the one before; a day to spare covers zones #}
moved as (
    select previous_as_of_date - 1 as since_date
    from {{ ref('run_context') }}
    where previous_as_of_date < as_of_date and {{ 'true' if orders and invoices else 'false' }}
),

aged as (
    select events.order_id
    from {{ ref('stg_shop__order_events') }} as events
    inner join moved on events.occurred_at >= moved.since_date
    union
    select invoices.order_id
    from {{ ref('stg_shop__invoices') }} as invoices
    inner join moved on invoices.issued_at >= moved.since_date
    union
    select invoices.order_id
    from {{ ref('stg_shop__payments') }} as payments
    inner join {{ ref('stg_shop__invoices') }} as invoices using (invoice_id)
    inner join moved on payments.paid_at >= moved.since_date
    {%- if orders and invoices %}
    union
    select orders.order_id
    from {{ orders }} as orders
    inner join moved on orders.is_open or greatest(orders.promised_ship_at, orders.promised_delivery_at, orders.ordered_at) >= moved.since_date
    union
    select invoices.order_id
    from {{ invoices }} as invoices
    inner join moved on invoices.outstanding_amount <> 0
    {%- endif %}
),

{# every day a changed order is or was counted on #}
dated as (
    select
        order_id,
        ordered_date
    from touched
    union
    select
        aged.order_id,
        {{ local_date('orders.created_at') }} as ordered_date
    from aged
    inner join {{ ref('stg_shop__orders') }} as orders using (order_id)
)

select
    order_id,
    ordered_date
from dated
