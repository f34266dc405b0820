with known as (
    select customer_key from {{ ref('stg_shop__customers') }}
    union
    select customer_key from {{ ref('stg_shop__subscriptions') }}
    union
    select customer_key from {{ ref('int_orders_promised') }} where customer_key is not null
),

ordered as (
    select
        customer_key,
        count(*) as order_count,
        min(ordered_date) as first_order_date,
        max(case when order_number = 2 then ordered_date end) as second_order_date,
        max(ordered_date) as last_order_date,
        max(case when order_number = 1 then channel_id end) as first_channel_id,
        max(case when order_number = 1 then ship_to_country end) as first_country
    from {{ ref('int_customer_orders') }}
    group by customer_key
),

valued as (
    select
        customer_key,
        cast(sum(qty) as bigint) as net_qty,
        case when {{ unrated_count('events') }} = 0 then cast(coalesce(sum(net_reporting_amount), 0) as bigint) end as net_reporting_amount
    from {{ ref('fct_sales_events') }} as events
    where customer_key is not null and event_date <= {{ as_of_date() }}
    group by customer_key
),

scored as (
    select
        ordered.customer_key,
        {{ quintile_score('ordered.last_order_date') }} as recency_score,
        {{ quintile_score('ordered.order_count') }} as frequency_score,
        {{ quintile_score('coalesce(valued.net_reporting_amount, 0)') }} as monetary_score
    from ordered
    left join valued using (customer_key)
),

customers as (
    select
        known.customer_key,
        coalesce(registered.country, ordered.first_country) as country,
        ordered.first_channel_id,
        ordered.first_order_date,
        cast(date_trunc('month', ordered.first_order_date) as date) as cohort_month,
        ordered.second_order_date,
        ordered.last_order_date,
        coalesce(ordered.order_count, 0) as order_count,
        coalesce(valued.net_qty, 0) as net_qty,
        case when valued.customer_key is null then 0 else valued.net_reporting_amount end as net_reporting_amount,
        scored.recency_score,
        scored.frequency_score,
        scored.monetary_score
    from known
    left join {{ ref('stg_shop__customers') }} as registered using (customer_key)
    left join ordered using (customer_key)
    left join valued using (customer_key)
    left join scored using (customer_key)
)

select
    *,
    {{ customer_segment() }} as segment
from customers
