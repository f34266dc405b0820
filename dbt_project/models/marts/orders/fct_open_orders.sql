with obstacles as (
    select
        order_id,
        {# an order with two causes waits for the first of these: without the money nobody looks for the goods #}
        case
            when bool_or(cause = 'payment_hold') then 'payment_hold'
            when bool_or(cause = 'no_product') then 'no_product'
            else 'no_stock'
        end as cause
    from {{ ref('fct_blocked_orders') }}
    where outcome = 'open'
    group by order_id
),

waiting as (
    select
        orders.*,
        {{ as_of_date() }} - orders.ordered_date as age_days,
        case
            when orders.is_shipped_complete and coalesce({{ local_date('orders.shipped_at') }} <= {{ as_of_date() }}, true) then 5
            when {{ local_date('orders.shipped_at') }} <= {{ as_of_date() }} then 4
            when {{ local_date('orders.released_at') }} <= {{ as_of_date() }} then 3
            when {{ local_date('orders.approved_at') }} <= {{ as_of_date() }} then 2
            else 1
        end as stage_number
    from {{ ref('fct_orders') }} as orders
    where not orders.is_test and orders.ordered_date <= {{ as_of_date() }} and coalesce(orders.ended_date > {{ as_of_date() }}, true)
)

select
    waiting.order_id,
    waiting.ordered_date,
    waiting.stage_number,
    case waiting.stage_number
        when 1 then 'not approved'
        when 2 then 'approved, not released'
        when 3 then 'released, not shipped'
        when 4 then 'part on its way or arrived'
        else 'all on its way'
    end as stage,
    cast(waiting.age_days as bigint) as age_days,
    bands.age_band,
    bands.from_days as age_from_days,
    obstacles.cause,
    waiting.promised_ship_date,
    waiting.promised_delivery_date,
    waiting.promise_basis,
    {# a promise is a day, and at the end of that day it is broken #}
    waiting.promised_delivery_date <= {{ as_of_date() }} as is_overdue,
    waiting.ordered_qty,
    waiting.shipped_qty,
    waiting.net_amount,
    waiting.net_reporting_amount,
    waiting.currency_code,
    waiting.channel_id,
    waiting.location_id,
    waiting.ship_to_country,
    waiting.ship_to_region,
    waiting.carrier
from waiting
inner join {{ age_band_relation() }} on waiting.age_days >= bands.from_days and coalesce(waiting.age_days <= bands.until_days, true)
left join obstacles using (order_id)
