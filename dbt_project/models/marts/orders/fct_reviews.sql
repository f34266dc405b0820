{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('fct_orders') }}
    where {{ is_changed('order_id') }}
)

select
    reviews.review_id,
    reviews.order_id,
    {{ local_date('reviews.created_at') }} as review_date,
    orders.ordered_date,
    reviews.score,
    orders.cycle_time_days,
    case
        when orders.delivered_date is null then 'not delivered'
        when orders.delivered_date <= orders.promised_delivery_date then 'on time'
        when orders.delivered_date <= orders.promised_delivery_date + 3 then '1-3 days late'
        else '4 days late or more'
    end as lateness,
    orders.promise_basis,
    orders.channel_id,
    orders.location_id,
    orders.ship_to_country,
    orders.ship_to_region,
    orders.carrier,
    orders.customer_key,
    orders.is_test
from {{ ref('stg_shop__reviews') }} as reviews
inner join orders using (order_id)
where {{ is_changed('reviews.order_id') }}
