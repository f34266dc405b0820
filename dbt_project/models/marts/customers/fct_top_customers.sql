{% set shown = 100 %}

with days as (
    select
        customer_key,
        event_date,
        count(*) filter (where is_first_line_of_order) as order_count,
        sum(net_reporting_amount) as net_reporting_amount,
        {{ unrated_count('events') }} as unrated_count
    from {{ ref('fct_sales_events') }} as events
    where event_date between {{ as_of_date() }} - 727 and {{ as_of_date() }}
    group by customer_key, event_date
),

periods as (
    select
        periods.period_days,
        days.customer_key,
        cast(sum(case when days.event_date >= periods.since_date then days.order_count else 0 end) as bigint) as order_count,
        {{ known_reporting_sum('days.event_date >= periods.since_date') }} as net_reporting_amount,
        {# a history that does not reach back over the whole period before cannot be compared with #}
        case when (select min(event_date) from {{ ref('fct_sales_events') }}) <= min(periods.prior_since_date)
            then {{ known_reporting_sum('days.event_date < periods.since_date') }} end as prior_net_reporting_amount,
        bool_or(days.event_date >= periods.since_date) as is_active
    from days
    inner join {{ report_periods() }} as periods on days.event_date between periods.prior_since_date and periods.until_date
    group by periods.period_days, days.customer_key
),

{# guests are one row without a customer: part of the whole, and never ranked #}
ranked as (
    select
        *,
        row_number() over (partition by period_days order by customer_key is null, net_reporting_amount desc nulls first, customer_key) as value_rank,
        case
            when count(*) over (partition by period_days) = count(net_reporting_amount) over (partition by period_days)
                then sum(net_reporting_amount) over (partition by period_days)
        end as total_amount
    from periods
    where is_active
)

select
    ranked.period_days,
    ranked.value_rank,
    ranked.customer_key,
    ranked.net_reporting_amount,
    ranked.order_count,
    customers.segment,
    ranked.net_reporting_amount / nullif(ranked.total_amount, 0) as net_sales_share_rate,
    ranked.prior_net_reporting_amount,
    customers.last_order_date,
    customers.country
from ranked
inner join {{ ref('dim_customers') }} as customers using (customer_key)
where ranked.value_rank <= {{ shown }}
