{% set class_days = 364 %}
{% set least_weeks = 13 %}

with sales as (
    select
        sku,
        case when {{ unrated_count('events') }} = 0 then cast(sum(net_reporting_amount) as bigint) end as net_sales_reporting_amount
    from {{ ref('fct_sales_events') }} as events
    where event_date between {{ as_of_date() }} - {{ class_days - 1 }} and {{ as_of_date() }} and net_amount is not null
    group by sku
),

ranked as (
    select
        sku,
        net_sales_reporting_amount,
        row_number() over by_sales as sales_rank,
        sum(greatest(net_sales_reporting_amount, 0)) over by_sales as sales_through_sku,
        sum(greatest(net_sales_reporting_amount, 0)) over () as all_sales
    from sales
    window by_sales as (order by net_sales_reporting_amount desc nulls last, sku rows unbounded preceding)
),

{# weeks of seven days that end with the as-of date, the youngest being 0 #}
weekly as (
    select
        sku,
        cast(floor(({{ as_of_date() }} - demand_date) / 7) as integer) as weeks_ago,
        sum(demand_qty) as demand_qty
    from {{ ref('fct_demand_daily') }}
    where demand_date > {{ as_of_date() }} - {{ class_days }}
    group by all
),

began as (
    select
        sku,
        min(demand_date) as first_demand_date,
        min(min(demand_date)) over () as first_known_date
    from {{ ref('fct_demand_daily') }}
    group by sku
),

{# an item has had the complete weeks since its launch, or since anything at all is known #}
lived as (
    select
        began.sku,
        least(
            {{ class_days }} / 7,
            floor(({{ as_of_date() }} - greatest(coalesce(products.launched_date, began.first_demand_date), began.first_known_date) + 1) / 7)
        ) as weeks
    from began
    left join {{ ref('dim_products') }} as products using (sku)
),

{# weeks without demand are zeros that no row stands for #}
varied as (
    select
        lived.sku,
        any_value(lived.weeks) as weeks,
        coalesce(sum(weekly.demand_qty), 0) as demand_qty,
        sqrt(greatest(
            coalesce(sum(weekly.demand_qty * weekly.demand_qty), 0) / nullif(any_value(lived.weeks), 0)
            - power(coalesce(sum(weekly.demand_qty), 0) / nullif(any_value(lived.weeks), 0), 2), 0
        )) / nullif(coalesce(sum(weekly.demand_qty), 0) / nullif(any_value(lived.weeks), 0), 0) as weekly_demand_variation
    from lived
    left join weekly on lived.sku = weekly.sku and weekly.weeks_ago < lived.weeks
    group by lived.sku
)

select
    products.sku,
    case
        when ranked.sku is null then 'none'
        when ranked.net_sales_reporting_amount is null then 'unknown'
        when ranked.sales_through_sku <= 0.8 * ranked.all_sales or (ranked.sales_rank = 1 and ranked.all_sales > 0) then 'A'
        when ranked.sales_through_sku <= 0.95 * ranked.all_sales then 'B'
        else 'C'
    end as abc_class,
    case
        when varied.weeks < {{ least_weeks }} then 'new'
        when coalesce(varied.demand_qty, 0) = 0 then 'none'
        when varied.weekly_demand_variation < 0.5 then 'X'
        when varied.weekly_demand_variation < 1.0 then 'Y'
        else 'Z'
    end as xyz_class,
    case when ranked.sku is null then 0 else ranked.net_sales_reporting_amount end as net_sales_reporting_amount,
    varied.weekly_demand_variation
from {{ ref('dim_products') }} as products
left join ranked using (sku)
left join varied using (sku)
