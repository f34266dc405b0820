{% set named_variants = 50 %}

with paths as (
    select
        order_id,
        coalesce(string_agg(to_event, ' > ' order by step_number) filter (where to_event <> 'end'), 'no events') as variant,
        count(*) filter (where to_event <> 'end') as event_count,
        max(to_date) filter (where to_event = 'end') as finished_date,
        {# of decimals: a sum of doubles would depend on the order of the rows #}
        cast(sum(cast(hours as decimal(18, 9))) as double) as total_hours
    from {{ ref('fct_order_transitions') }}
    where not is_test
    group by order_id
    having bool_or(to_event = 'end')
),

in_period as (
    select
        periods.period_days,
        paths.*
    from paths
    inner join {{ report_periods() }} as periods on paths.finished_date between periods.since_date and periods.until_date
),

counted as (
    select
        period_days,
        variant,
        row_number() over (partition by period_days order by count(*) desc, variant) as variant_rank
    from in_period
    group by period_days, variant
),

{# where every order goes its own way the list would be as long as the orders: what is rare stands in one row #}
named as (
    select
        in_period.period_days,
        case when counted.variant_rank <= {{ named_variants }} then in_period.variant else 'all others' end as variant,
        case when counted.variant_rank <= {{ named_variants }} then counted.variant_rank end as variant_rank,
        case when counted.variant_rank <= {{ named_variants }} then in_period.event_count end as event_count,
        in_period.total_hours
    from in_period
    inner join counted using (period_days, variant)
)

select
    period_days,
    variant,
    variant_rank,
    event_count,
    count(*) as order_count,
    count(*) / sum(count(*)) over (partition by period_days) as order_share,
    quantile_cont(total_hours, 0.5) as p50_hours,
    quantile_cont(total_hours, 0.9) as p90_hours
from named
group by period_days, variant, variant_rank, event_count
