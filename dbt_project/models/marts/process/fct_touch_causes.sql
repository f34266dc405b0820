with periods as (
    select
        trailing_periods.*,
        trailing_periods.prior_since_date >= (select min(counted_date) from {{ ref('fct_order_transitions') }}) as has_prior
    from {{ report_periods() }} as trailing_periods
),

in_period as (
    select
        steps.*,
        lower(coalesce(steps.station, steps.actor_role, 'unknown')) as performed_by,
        periods.period_days,
        steps.counted_date < periods.since_date as is_prior
    from {{ ref('fct_order_transitions') }} as steps
    inner join periods on steps.counted_date between periods.prior_since_date and periods.until_date
),

finished as (
    select
        period_days,
        count(*) filter (where not is_prior) as finished_order_count
    from in_period
    where to_event = 'end'
    group by period_days
),

caused as (
    select
        period_days,
        to_event as cause,
        performed_by,
        count(*) filter (where not is_prior) as touch_count,
        count(distinct order_id) filter (where not is_prior) as order_count,
        cast(sum(cast(labour_minutes as decimal(18, 9))) filter (where not is_prior) as double) as labour_minutes,
        count(*) filter (where is_prior) as prior_touch_count
    from in_period
    where is_touch
    group by period_days, to_event, performed_by
)

select
    caused.period_days,
    caused.cause,
    caused.performed_by,
    caused.touch_count,
    caused.order_count,
    caused.touch_count / nullif(sum(caused.touch_count) over (partition by caused.period_days), 0) as touch_share,
    caused.touch_count / nullif(finished.finished_order_count, 0) as touches_per_order,
    finished.finished_order_count,
    caused.labour_minutes,
    case when periods.has_prior then caused.prior_touch_count end as prior_touch_count
from caused
inner join finished using (period_days)
inner join periods using (period_days)
