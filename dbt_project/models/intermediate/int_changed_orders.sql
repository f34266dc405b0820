{# Marts as the last transform left them say which orders time itself has changed. They are read by name: they are built after this. #}
{%- set orders = adapter.get_relation(this.database, 'marts', 'fct_orders') if execute and not flags.FULL_REFRESH -%}

with touched as (
    select
        order_id,
        {{ local_date('ordered_at') }} as ordered_date
    from {{ ref('changed_orders') }}
),

{# what was kept of an exchange hangs on the order it led to #}
exchanged as (
    select coalesce(order_lines.order_id, returns.order_id) as order_id
    from {{ ref('stg_shop__returns') }} as returns
    inner join {{ ref('stg_shop__return_lines') }} as return_lines using (return_id)
    left join {{ ref('stg_shop__order_lines') }} as order_lines using (order_line_id)
    where returns.exchange_order_id in (select order_id from touched)
)

select distinct
    order_id,
    ordered_date
from touched
union
select distinct
    exchanged.order_id,
    {{ local_date('orders.created_at') }} as ordered_date
from exchanged
inner join {{ ref('stg_shop__orders') }} as orders using (order_id)
{%- if orders %}
union
{# a new as-of date makes promises due and open orders older #}
select
    order_id,
    ordered_date
from {{ orders }}
where
    (select previous_as_of_date < as_of_date from {{ ref('run_context') }})
    and (is_open or greatest(promised_ship_at, promised_delivery_at) >= (select previous_as_of_date - 1 from {{ ref('run_context') }}))
{%- endif %}
