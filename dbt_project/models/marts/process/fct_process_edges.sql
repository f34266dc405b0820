{# An order counts whole, with all its steps, in the period in which it was finished: that is what lets each event be left as often as it
   is reached. Of an order that is open, only what it waits for now is told, apart from the rest: that wait will still grow. #}
with periods as (
    select
        trailing_periods.*,
        {# of a period that began before the data did, only a part is known #}
        trailing_periods.prior_since_date >= (select min(to_date) from {{ ref('fct_order_transitions') }}) as has_prior
    from {{ report_periods() }} as trailing_periods
),

counted as (
    select
        order_id,
        case when to_event = 'end' then to_date end as finished_date
    from {{ ref('fct_order_transitions') }}
    where to_event in ('end', 'open') and not is_test
),

in_period as (
    select
        counted.order_id,
        periods.period_days,
        coalesce(counted.finished_date < periods.since_date, false) as is_prior
    from counted
    inner join periods
        on counted.finished_date between periods.prior_since_date and periods.until_date or counted.finished_date is null
),

steps as (
    select
        transitions.order_id,
        transitions.from_event,
        transitions.to_event,
        case
            when transitions.to_event = 'open' then {{ seconds_between('transitions.from_at', end_of_as_of_day()) }} / 3600.0
            else transitions.hours
        end as hours
    from {{ ref('fct_order_transitions') }} as transitions
    inner join counted using (order_id)
    where transitions.to_event = 'open' or counted.finished_date is not null
),

{# An order that takes an edge twice is one order, worth what it is worth once. Sums are of decimals: sums of doubles would depend on
   the order of the rows. #}
by_order as (
    select
        order_id,
        from_event,
        to_event,
        count(*) as transition_count,
        cast(sum(cast(hours as decimal(18, 9))) as decimal(18, 9)) as total_hours
    from steps
    group by order_id, from_event, to_event
),

weighed as (
    select
        in_period.period_days,
        by_order.from_event,
        by_order.to_event,
        cast(sum(by_order.transition_count) as bigint) as transition_count,
        count(*) as order_count,
        cast(sum(by_order.total_hours) as double) as total_hours,
        case when count(*) = count(orders.net_reporting_amount) then cast(sum(orders.net_reporting_amount) as bigint) end
            as order_value_reporting_amount,
        case
            when count(*) = count(orders.net_reporting_amount)
                then
                    cast(sum(coalesce(by_order.total_hours, 0) * cast(orders.net_reporting_amount as decimal(18, 0))) as double)
                    / ({{ minor_units_per_major(reporting_currency()) }})
        end as bottleneck_score
    from by_order
    inner join in_period using (order_id)
    left join {{ ref('fct_orders') }} as orders using (order_id)
    where not in_period.is_prior
    group by in_period.period_days, by_order.from_event, by_order.to_event
),

timed as (
    select
        in_period.period_days,
        steps.from_event,
        steps.to_event,
        quantile_cont(steps.hours, 0.5) filter (where not in_period.is_prior) as p50_hours,
        quantile_cont(steps.hours, 0.9) filter (where not in_period.is_prior) as p90_hours,
        count(*) filter (where in_period.is_prior) as prior_transition_count,
        quantile_cont(steps.hours, 0.5) filter (where in_period.is_prior) as prior_p50_hours
    from steps
    inner join in_period using (order_id)
    group by in_period.period_days, steps.from_event, steps.to_event
)

select
    weighed.period_days,
    case when weighed.to_event = 'open' then 'open' else 'done' end as wait_state,
    case
        when weighed.bottleneck_score is not null
            then rank() over (partition by weighed.period_days, weighed.to_event = 'open' order by weighed.bottleneck_score desc nulls last)
    end as bottleneck_rank,
    weighed.from_event,
    weighed.to_event,
    weighed.transition_count,
    weighed.order_count,
    weighed.transition_count / sum(weighed.transition_count) over (partition by weighed.period_days, weighed.to_event = 'open')
        as transition_share,
    timed.p50_hours,
    timed.p90_hours,
    weighed.total_hours,
    weighed.order_value_reporting_amount,
    weighed.bottleneck_score,
    {# what was open then is not known #}
    case when periods.has_prior and weighed.to_event <> 'open' then timed.prior_transition_count end as prior_transition_count,
    case when periods.has_prior then timed.prior_p50_hours end as prior_p50_hours
from weighed
inner join timed using (period_days, from_event, to_event)
inner join periods using (period_days)
