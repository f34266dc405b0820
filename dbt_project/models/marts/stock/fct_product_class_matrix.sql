with classes as (
    select * from {{ ref('dim_product_classes') }}
),

periods as (
    select * from {{ report_periods() }}
),

sold as (
    select
        periods.period_days,
        events.sku,
        sum(events.net_reporting_amount) as net_sales_reporting_amount,
        {{ unrated_count('events') }} as unrated_count
    from {{ ref('fct_sales_events') }} as events
    inner join periods on events.event_date between periods.since_date and periods.until_date
    group by periods.period_days, events.sku
),

stocked as (
    select
        periods.period_days,
        daily.sku,
        count(*) as n,
        sum(case when daily.is_in_stock then 1 else 0 end) as in_stock_days
    from {{ ref('fct_stock_daily') }} as daily
    inner join periods on daily.stock_date between periods.since_date and periods.until_date
    where daily.is_active_item
    group by periods.period_days, daily.sku
),

standing as (
    select
        sku,
        sum(stock_value_reporting_amount) as stock_value_reporting_amount
    from {{ ref('fct_stock_daily') }}
    where stock_date = {{ as_of_date() }}
    group by sku
),

classed as (
    select
        periods.period_days,
        classes.abc_class,
        classes.xyz_class,
        count(*) as skus_count,
        case when coalesce(sum(sold.unrated_count), 0) = 0 then sum(sold.net_sales_reporting_amount) end as net_sales_reporting_amount,
        coalesce(sum(sold.unrated_count), 0) as unrated_count,
        sum(standing.stock_value_reporting_amount) as stock_value_reporting_amount,
        sum(stocked.in_stock_days) as in_stock_days,
        coalesce(sum(stocked.n), 0) as n
    from classes
    cross join periods
    left join sold on classes.sku = sold.sku and periods.period_days = sold.period_days
    left join stocked on classes.sku = stocked.sku and periods.period_days = stocked.period_days
    left join standing on classes.sku = standing.sku
    group by periods.period_days, classes.abc_class, classes.xyz_class
)

select
    period_days,
    abc_class,
    xyz_class,
    skus_count,
    cast(net_sales_reporting_amount as bigint) as net_sales_reporting_amount,
    case
        when sum(unrated_count) over (partition by period_days) = 0
            then net_sales_reporting_amount / nullif(sum(net_sales_reporting_amount) over (partition by period_days), 0)::double
    end as net_sales_rate,
    cast(unrated_count as bigint) as unrated_sales_count,
    cast(stock_value_reporting_amount as bigint) as stock_value_reporting_amount,
    cast(in_stock_days as double) / nullif(n, 0) as in_stock_rate,
    cast(n as bigint) as n
from classed
