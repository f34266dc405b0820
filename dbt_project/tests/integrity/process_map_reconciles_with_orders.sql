{{ config(tags=["daily"]) }}

{# By another path: each order has one first and one last step; in every period of the map as many orders start as end, every event between
   is left as often as it is reached, and as many orders end and are open as the orders themselves say. #}
with orders as (
    select
        order_id,
        count(*) filter (where from_event = 'start' and step_number = 1) as starts,
        count(*) filter (where to_event in ('end', 'open')) as ends,
        count(*) as steps,
        max(step_number) as last_step
    from {{ ref('fct_order_transitions') }}
    group by order_id
),

nodes as (
    select
        period_days,
        node,
        sum(arrived) as arrived,
        sum(departed) as departed
    from (
        select period_days, case when to_event = 'end' then 'start' else to_event end as node, transition_count as arrived, 0 as departed
        from {{ ref('fct_process_edges') }}
        where wait_state = 'done'
        union all
        select period_days, from_event as node, 0 as arrived, transition_count as departed
        from {{ ref('fct_process_edges') }}
        where wait_state = 'done'
        union all
        select periods.period_days, 'end' as node, 0 as arrived, count(*) as departed
        from {{ ref('fct_orders') }} as orders
        inner join {{ report_periods() }} as periods on orders.ended_date between periods.since_date and periods.until_date
        where not orders.is_test and orders.ordered_date <= {{ as_of_date() }}
        group by periods.period_days
        union all
        select period_days, to_event as node, transition_count as arrived, 0 as departed
        from {{ ref('fct_process_edges') }}
        where to_event in ('end', 'open')
        union all
        select periods.period_days, 'open' as node, 0 as arrived, count(*) as departed
        from {{ ref('fct_orders') }} as orders
        cross join {{ report_periods() }} as periods
        where not orders.is_test and orders.ordered_date <= {{ as_of_date() }} and coalesce(orders.ended_date > {{ as_of_date() }}, true)
        group by periods.period_days
    )
    group by period_days, node
)

select 'orders in the fact' as problem, count(*) as found, max(known.orders) as expected
from orders
cross join (select count(*) as orders from {{ ref('fct_orders') }} where ordered_date <= {{ as_of_date() }}) as known
having count(*) <> max(known.orders)
union all
select 'steps of order ' || order_id, steps, last_step
from orders
where starts <> 1 or ends <> 1 or steps <> last_step
union all
select 'node ' || node || ' in ' || period_days || ' days', departed, arrived
from nodes
where arrived <> departed
