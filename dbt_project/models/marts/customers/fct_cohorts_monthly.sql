with cohorts as (
    select
        cohort_month,
        count(*) as customer_count
    from {{ ref('dim_customers') }}
    where cohort_month is not null
    group by cohort_month
),

{# every month of every cohort, so that a month in which nobody came back is a measured zero #}
months as (
    select
        cohorts.cohort_month,
        cohorts.customer_count,
        cast(cohorts.cohort_month + to_months(spans.months_since_first) as date) as activity_month,
        spans.months_since_first
    from cohorts
    cross join (
        select unnest(range(0, (
            select coalesce(max({{ months_between('cohort_month', as_of_date()) }}), 0) + 1 from cohorts
        ))) as months_since_first
    ) as spans
    where spans.months_since_first <= {{ months_between('cohorts.cohort_month', as_of_date()) }}
),

ordered as (
    select
        customers.cohort_month,
        {{ months_between('customers.cohort_month', 'orders.ordered_date') }} as months_since_first,
        count(distinct orders.customer_key) as active_customer_count,
        count(*) as order_count
    from {{ ref('int_customer_orders') }} as orders
    inner join {{ ref('dim_customers') }} as customers using (customer_key)
    group by all
),

sold as (
    select
        customers.cohort_month,
        {{ months_between('customers.cohort_month', 'events.event_date') }} as months_since_first,
        cast(sum(events.net_reporting_amount) as bigint) as net_reporting_amount,
        {{ unrated_count('events') }} as unrated_count
    from {{ ref('fct_sales_events') }} as events
    inner join {{ ref('dim_customers') }} as customers using (customer_key)
    where customers.cohort_month is not null and events.event_date <= {{ as_of_date() }}
    group by all
)

select
    months.cohort_month,
    cast(months.months_since_first as bigint) as months_since_first,
    months.customer_count,
    coalesce(ordered.active_customer_count, 0) as active_customer_count,
    coalesce(ordered.active_customer_count, 0) / months.customer_count as retention_rate,
    coalesce(ordered.order_count, 0) as order_count,
    case when coalesce(sold.unrated_count, 0) = 0 then coalesce(sold.net_reporting_amount, 0) end as net_reporting_amount,
    case
        when sum(coalesce(sold.unrated_count, 0)) over (partition by months.cohort_month order by months.months_since_first) = 0
            then cast(sum(coalesce(sold.net_reporting_amount, 0)) over (
                partition by months.cohort_month order by months.months_since_first
            ) as bigint)
    end as cumulative_net_reporting_amount,
    cast(months.activity_month + to_months(1) as date) <= {{ as_of_date() }} + 1 as is_complete
from months
left join ordered using (cohort_month, months_since_first)
left join sold using (cohort_month, months_since_first)
