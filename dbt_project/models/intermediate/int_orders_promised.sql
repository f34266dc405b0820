with orders as (
    select
        *,
        coalesce(promised_ship_at, created_at + interval {{ sla_ship_days() }} day) as ship_promise_at,
        coalesce(promised_delivery_at, created_at + interval {{ sla_delivery_days() }} day) as delivery_promise_at
    from {{ ref('stg_shop__orders') }}
)

select
    order_id,
    created_at as ordered_at,
    {{ local_date('created_at') }} as ordered_date,
    approved_at,
    released_at,
    ship_promise_at as promised_ship_at,
    {{ local_date('ship_promise_at') }} as promised_ship_date,
    case when promised_ship_at is null then 'derived' else 'given' end as ship_promise_basis,
    delivery_promise_at as promised_delivery_at,
    {{ local_date('delivery_promise_at') }} as promised_delivery_date,
    case when promised_delivery_at is null then 'derived' else 'given' end as promise_basis,
    channel_id,
    coalesce(location_id, 'unassigned') as location_id,
    ship_to_country,
    ship_to_region,
    currency_code,
    customer_key,
    cancelled_at is not null as is_cancelled,
    is_test
from orders
