{{ config(**per_order()) }}

with orders as (
    select
        *,
        {{ local_date('created_at') }} as ordered_date,
        coalesce(promised_delivery_at, requested_delivery_at, created_at + interval {{ sla_delivery_days() }} day) as delivery_promise_at,
        {# what the customer wants later than usual also leaves later; what has to arrive sooner has no other day to leave #}
        coalesce(
            promised_ship_at,
            case
                when promised_delivery_at is null and requested_delivery_at > created_at + interval {{ sla_delivery_days() }} day
                    then requested_delivery_at - interval {{ sla_delivery_days() - sla_ship_days() }} day
            end
        ) as known_ship_promise_at
    from {{ ref('stg_shop__orders') }}
    where {{ is_changed('order_id') }}
)

select
    order_id,
    created_at as ordered_at,
    ordered_date,
    approved_at,
    released_at,
    cancelled_at,
    {{ local_date('cancelled_at') }} as cancelled_date,
    case when cancelled_at is not null then coalesce(lower(cancel_reason), 'unknown') end as cancel_reason,
    closed_at,
    {{ local_date('closed_at') }} as closed_date,
    requested_delivery_at,
    coalesce(known_ship_promise_at, created_at + interval {{ sla_ship_days() }} day) as promised_ship_at,
    {# a derived promise is a number of calendar days: added to the date, or a change of clocks at midnight would move it #}
    coalesce({{ local_date('known_ship_promise_at') }}, ordered_date + {{ sla_ship_days() }}) as promised_ship_date,
    case when promised_ship_at is null then 'derived' else 'confirmed' end as ship_promise_basis,
    delivery_promise_at as promised_delivery_at,
    case
        when coalesce(promised_delivery_at, requested_delivery_at) is null then ordered_date + {{ sla_delivery_days() }}
        else {{ local_date('delivery_promise_at') }}
    end as promised_delivery_date,
    case
        when promised_delivery_at is not null then 'confirmed'
        when requested_delivery_at is not null then 'requested'
        else 'derived'
    end as promise_basis,
    channel_id,
    coalesce(location_id, 'unassigned') as location_id,
    ship_to_country,
    ship_to_region,
    currency_code,
    customer_key,
    cancelled_at is not null as is_cancelled,
    is_test
from orders
