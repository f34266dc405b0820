{{ config(**per_order()) }}

with ended as (
    select
        orders.*,
        coalesce(
            case when orders.is_cancelled then {{ local_date('staged.cancelled_at') }} else orders.delivered_date end,
            {{ local_date('staged.closed_at') }},
            orders.ordered_date
        ) as finished_date
    from {{ ref('fct_orders') }} as orders
    inner join {{ ref('stg_shop__orders') }} as staged using (order_id)
    where orders.ordered_date <= {{ as_of_date() }} and {{ is_changed('orders.order_id') }}
),

orders as (
    select
        *,
        {# by the end of the as-of day, whatever the shop knows by now #}
        not is_open and finished_date <= {{ as_of_date() }} as is_finished
    from ended
),

dated as (
    select
        *,
        {{ local_date('occurred_at') }} as event_date
    from {{ ref('stg_shop__order_events') }}
    where {{ is_changed('order_id') }}
),

{# Events of one moment follow their ids. Each id is an event of its own: two parcels may be packed at one moment. #}
events as (
    select
        *,
        coalesce(actor_type = 'human', false) as is_touch,
        row_number() over (partition by order_id order by occurred_at, event_id) as step_number,
        lag(event_type) over (partition by order_id order by occurred_at, event_id) as from_event,
        lag(occurred_at) over (partition by order_id order by occurred_at, event_id) as from_at,
        count(*) over (partition by order_id) as event_count
    from dated
    where event_date <= {{ as_of_date() }}
),

touched as (
    select
        order_id,
        count(*) filter (where is_touch) as touch_count
    from events
    group by order_id
),

steps as (
    select
        events.order_id,
        events.step_number,
        coalesce(events.from_event, 'start') as from_event,
        events.event_type as to_event,
        coalesce(events.from_at, orders.ordered_at) as from_at,
        events.occurred_at as to_at,
        events.event_date as to_date,
        events.actor_role,
        events.station,
        events.is_touch,
        cast(null as boolean) as is_touchless,
        standards.standard_minutes as labour_minutes,
        {{ minor_units('(standards.cost_per_hour * standards.standard_minutes / 60)', 'standards.currency_code') }} as labour_cost_amount,
        standards.currency_code
    from events
    inner join orders using (order_id)
    left join {{ ref('labour_standards') }} as standards
        on
            events.event_type = standards.event_type
            and lower(coalesce(events.station, events.actor_role)) = standards.performed_by
            {# what a system does by itself takes nobody's time #}
            and (events.is_touch or events.station is not null)
    union all
    select
        orders.order_id,
        coalesce(last_event.event_count, 0) + 1 as step_number,
        coalesce(last_event.event_type, 'start') as from_event,
        case when orders.is_finished then 'end' else 'open' end as to_event,
        coalesce(last_event.occurred_at, orders.ordered_at) as from_at,
        case when orders.is_finished then coalesce(last_event.occurred_at, orders.ordered_at) end as to_at,
        case when orders.is_finished then orders.finished_date else coalesce(last_event.event_date, orders.ordered_date) end as to_date,
        null as actor_role,
        null as station,
        false as is_touch,
        case when orders.is_finished then touched.touch_count = 0 end as is_touchless,
        null as labour_minutes,
        null as labour_cost_amount,
        null as currency_code
    from orders
    left join events as last_event on orders.order_id = last_event.order_id and last_event.step_number = last_event.event_count
    left join touched on orders.order_id = touched.order_id
)

select
    steps.order_id,
    steps.step_number,
    steps.from_event,
    steps.to_event,
    steps.from_at,
    steps.to_at,
    case when steps.to_at >= steps.from_at then {{ seconds_between('steps.from_at', 'steps.to_at') }} / 3600.0 end as hours,
    steps.to_date,
    case when orders.is_finished and touched.order_id is not null and not orders.is_test then orders.finished_date end as counted_date,
    steps.actor_role,
    steps.station,
    steps.is_touch,
    steps.is_touchless,
    steps.labour_minutes,
    steps.labour_cost_amount,
    steps.currency_code,
    {{ reporting_amount('steps.labour_cost_amount', 'steps.currency_code', 'rates.reporting_rate') }} as labour_cost_reporting_amount,
    orders.channel_id,
    orders.location_id,
    orders.ship_to_country,
    orders.ship_to_region,
    orders.customer_key,
    orders.is_test
from steps
inner join orders using (order_id)
left join touched using (order_id)
left join {{ ref('int_exchange_rates') }} as rates on steps.currency_code = rates.currency_code and steps.to_date = rates.rate_date
