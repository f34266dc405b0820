{# Kaplan-Meier: an order without a next one is watched until the as-of date and then leaves the count; it is not a customer who never came back #}
with watched as (
    select
        least(order_number, 3) as order_number,
        coalesce(next_order_date, {{ as_of_date() }}) - ordered_date as days,
        next_order_date is not null as has_next
    from {{ ref('int_customer_orders') }}
),

days as (
    select
        order_number,
        days,
        count(*) as order_count,
        count(*) filter (where has_next) as again_count
    from watched
    group by order_number, days
),

at_risk as (
    select
        *,
        sum(order_count) over (partition by order_number order by days desc rows unbounded preceding) as at_risk_count
    from days
),

weeks as (
    select cast(unnest(range(1, 53)) * 7 as bigint) as days_since_order
)

select
    cast(at_risk.order_number as bigint) as order_number,
    weeks.days_since_order,
    1 - coalesce(product(1 - at_risk.again_count / at_risk.at_risk_count) filter (where at_risk.days <= weeks.days_since_order), 1)
        as ordered_again_rate,
    coalesce(cast(sum(at_risk.again_count) filter (where at_risk.days <= weeks.days_since_order) as bigint), 0) as ordered_again_count,
    cast(sum(at_risk.order_count) as bigint) as order_count,
    cast(sum(at_risk.order_count) filter (where at_risk.days >= weeks.days_since_order) as bigint) as at_risk_count
from at_risk
cross join weeks
group by at_risk.order_number, weeks.days_since_order
having max(at_risk.days) >= weeks.days_since_order
