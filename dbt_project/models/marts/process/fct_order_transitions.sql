{{ config(**per_order()) }}

with orders as (
    select
        order_id,
        ordered_at,
        ordered_date,
        {# by the end of the as-of day, whatever the shop knows by now #}
        case when ended_date <= {{ as_of_date() }} then ended_date end as finished_date,
        channel_id,
        location_id,
        ship_to_country,
        ship_to_region,
        customer_key,
        is_test
    from {{ ref('fct_orders') }}
    where {{ is_until_as_of('ordered_date') }} and {{ is_changed('order_id') }}
),

events as (
    select
        order_id,
        event_id,
        event_type,
        occurred_at,
        {{ local_date('occurred_at') }} as event_date,
        actor_role,
        station,
        coalesce(actor_type = 'human', false) as is_touch
    from {{ ref('stg_shop__order_events') }}
    where {{ is_changed('order_id') }}
),

{# Events of one moment follow their ids. Each id is an event of its own: two parcels may be packed at one moment. #}
walked as (
    select
        *,
        row_number() over path as step_number,
        lag(event_type) over path as from_event,
        lag(occurred_at) over path as from_at,
        lead(event_id) over path is null as is_last,
        count(*) filter (where is_touch) over path as touch_count
    from events
    where {{ is_until_as_of('event_date') }}
    window path as (partition by order_id order by occurred_at, event_id)
),

steps as (
    select
        order_id,
        step_number,
        from_event,
        event_type as to_event,
        from_at,
        occurred_at as to_at,
        event_date as to_date,
        true as has_events,
        actor_role,
        station,
        is_touch,
        cast(null as boolean) as is_touchless,
        {# what a system does by itself takes nobody's time #}
        case when is_touch or station is not null then lower(coalesce(station, actor_role)) end as performed_by
    from walked
    union all
    select
        orders.order_id,
        coalesce(walked.step_number, 0) + 1,
        walked.event_type,
        case when orders.finished_date is not null then 'end' else 'open' end,
        walked.occurred_at,
        case when orders.finished_date is not null then coalesce(walked.occurred_at, orders.ordered_at) end,
        coalesce(orders.finished_date, walked.event_date, orders.ordered_date),
        walked.order_id is not null,
        null,
        null,
        false,
        case when orders.finished_date is not null then walked.touch_count = 0 end,
        null
    from orders
    left join walked on orders.order_id = walked.order_id and walked.is_last
),

standards as (
    select
        event_type,
        performed_by,
        standard_minutes,
        {{ minor_units('(cost_per_hour * standard_minutes / 60)', 'currency_code') }} as cost_amount,
        currency_code
    from {{ ref('labour_standards') }}
)

select
    steps.order_id,
    steps.step_number,
    coalesce(steps.from_event, 'start') as from_event,
    steps.to_event,
    coalesce(steps.from_at, orders.ordered_at) as from_at,
    case
        when steps.to_at >= coalesce(steps.from_at, orders.ordered_at)
            then {{ seconds_between('coalesce(steps.from_at, orders.ordered_at)', 'steps.to_at') }} / 3600.0
    end as hours,
    steps.to_date,
    case when steps.has_events and not orders.is_test then orders.finished_date end as counted_date,
    steps.actor_role,
    steps.station,
    steps.is_touch,
    steps.is_touchless,
    standards.standard_minutes as labour_minutes,
    standards.cost_amount as labour_cost_amount,
    standards.currency_code,
    {{ reporting_amount('standards.cost_amount', 'standards.currency_code', 'rates.reporting_rate') }} as labour_cost_reporting_amount,
    orders.channel_id,
    orders.location_id,
    orders.ship_to_country,
    orders.ship_to_region,
    orders.customer_key,
    orders.is_test
from steps
inner join orders using (order_id)
left join standards on steps.to_event = standards.event_type and steps.performed_by = standards.performed_by
left join {{ ref('int_exchange_rates') }} as rates on standards.currency_code = rates.currency_code and steps.to_date = rates.rate_date
