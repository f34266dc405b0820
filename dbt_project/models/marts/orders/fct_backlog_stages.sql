with waiting as (
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
    waiting.stage_number,
    case waiting.stage_number
        when 1 then 'not approved'
        when 2 then 'approved, not released'
        when 3 then 'released, not shipped'
        when 4 then 'part on its way or arrived'
        else 'all on its way'
    end as stage,
    bands.age_band,
    bands.from_days as age_from_days,
    count(*) as open_orders_count,
    count(*) filter (where waiting.promised_delivery_date <= {{ as_of_date() }}) as overdue_orders_count,
    cast(max(waiting.age_days) as bigint) as oldest_age_days,
    avg(waiting.age_days) as age_mean_days,
    case when count(*) = count(waiting.net_reporting_amount) then cast(sum(waiting.net_reporting_amount) as bigint) end as open_reporting_amount,
    count(*) filter (where waiting.net_reporting_amount is null) as unpriced_orders_count
from waiting
inner join {{ age_band_relation() }} on waiting.age_days >= bands.from_days and coalesce(waiting.age_days <= bands.until_days, true)
group by all
