{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('int_orders_promised') }}
    where {{ is_changed('order_id') }}
),

holds as (
    select
        order_id,
        min(placed_at) as placed_at,
        case when bool_and(released_at is not null) then max(released_at) end as released_at,
        case when bool_and(released_at is not null) then sum({{ seconds_between('placed_at', 'released_at') }}) / 3600.0 end as hold_hours,
        bool_or(coalesce(outcome, '') in ('cancelled', 'canceled', 'declined', 'failed', 'lost', 'rejected')) as is_refused
    from {{ ref('stg_shop__payment_holds') }}
    where {{ is_changed('order_id') }}
    group by order_id
),

lines as (
    select
        lines.order_id,
        lines.net_amount,
        lines.net_reporting_amount,
        lines.ordered_qty,
        lines.ordered_qty - lines.shipped_on_time_qty as late_qty,
        lines.open_qty,
        greatest(lines.ordered_qty - lines.shipped_qty - lines.open_qty, 0) as lost_qty,
        lines.last_left_at,
        {# when a product was retired is not always known: then only units that never left are held against it #}
        products.sku is null
        or coalesce({{ local_date('products.discontinued_at') }} <= lines.ordered_date, false)
        or (
            coalesce(lower(products.status), '') in ('archived', 'discontinued')
            and products.discontinued_at is null
            and lines.shipped_qty < lines.ordered_qty
        ) as is_product_gone
    from {{ ref('int_order_lines_fulfilled') }} as lines
    left join {{ ref('stg_shop__products') }} as products using (sku)
    where lines.is_from_stock and lines.shipped_on_time_qty < lines.ordered_qty and {{ is_changed('lines.order_id') }}
),

missing as (
    select
        lines.*,
        case when lines.is_product_gone then 'no_product' else 'no_stock' end as cause,
        not lines.is_product_gone and not coalesce(orders.cancel_reason, '') in ('out_of_stock', 'no_stock', 'inventory') as is_inferred,
        case when lines.lost_qty > 0 then coalesce(orders.cancelled_at, orders.closed_at) when lines.open_qty = 0 then lines.last_left_at end
            as until_at,
        orders.ordered_at,
        coalesce(orders.approved_at, orders.ordered_at) as accepted_at,
        orders.promised_ship_at
    from lines
    inner join orders using (order_id)
    left join holds using (order_id)
    where
        not orders.is_test
        and case
            {# ended before its goods had to leave: only the reason, or a product that is gone, says what stood in the way #}
            when least(orders.cancelled_date, orders.closed_date) <= orders.promised_ship_date
                then lines.is_product_gone or coalesce(orders.cancel_reason, '') in ('out_of_stock', 'no_stock', 'inventory')
            else orders.promised_ship_date <= {{ as_of_date() }}
        end
        {# what waited for approval or for money did not wait for goods #}
        and not coalesce(orders.approved_at > orders.promised_ship_at, false)
        and (holds.order_id is null or coalesce(holds.released_at <= orders.promised_ship_at, false))
),

blocked as (
    select
        order_id,
        cause,
        bool_or(is_inferred) as is_inferred,
        case
            when cause = 'no_product' then min(ordered_at)
            when max(until_at) < min(promised_ship_at) then min(accepted_at)
            else min(promised_ship_at)
        end as blocked_from_at,
        case when bool_and(until_at is not null) then max(until_at) end as blocked_until_at,
        case when sum(open_qty) > 0 then 'open' when sum(lost_qty) > 0 then 'lost' else 'released' end as outcome,
        sum(round(net_amount * late_qty / ordered_qty)) as blocked_amount,
        sum(round(net_reporting_amount * late_qty / ordered_qty)) as blocked_reporting_amount,
        sum(round(net_reporting_amount * (late_qty - open_qty - lost_qty) / ordered_qty)) as released_reporting_amount,
        sum(round(net_reporting_amount * lost_qty / ordered_qty)) as lost_reporting_amount
    from missing
    group by order_id, cause
),

values_held as (
    select
        order_id,
        sum(net_amount) as net_amount,
        sum(net_reporting_amount) as net_reporting_amount
    from {{ ref('int_order_lines_fulfilled') }}
    where {{ is_changed('order_id') }}
    group by order_id
),

held as (
    select
        orders.order_id,
        holds.placed_at,
        coalesce(holds.released_at, orders.cancelled_at, orders.closed_at) as until_at,
        holds.hold_hours,
        case
            when orders.is_cancelled or holds.is_refused or (holds.released_at is null and orders.closed_at is not null) then 'lost'
            when holds.released_at is null then 'open'
            else 'released'
        end as outcome,
        values_held.net_amount,
        values_held.net_reporting_amount
    from holds
    inner join orders using (order_id)
    left join values_held using (order_id)
    where not orders.is_test
),

causes as (
    select
        order_id,
        cause,
        is_inferred,
        blocked_from_at,
        blocked_until_at,
        case when blocked_until_at is not null then greatest({{ seconds_between('blocked_from_at', 'blocked_until_at') }}, 0) / 3600.0 end
            as hold_hours,
        outcome,
        blocked_amount,
        blocked_reporting_amount,
        released_reporting_amount,
        lost_reporting_amount
    from blocked
    union all
    select
        order_id,
        'payment_hold',
        false,
        placed_at,
        until_at,
        case
            when hold_hours is not null then hold_hours
            when until_at is not null then greatest({{ seconds_between('placed_at', 'until_at') }}, 0) / 3600.0
        end,
        outcome,
        coalesce(net_amount, 0),
        case when net_amount is null then 0 else net_reporting_amount end,
        case when outcome = 'released' then net_reporting_amount else 0 end,
        case when outcome = 'lost' then net_reporting_amount else 0 end
    from held
)

select
    causes.order_id,
    causes.cause,
    causes.is_inferred,
    {{ local_date('causes.blocked_from_at') }} as blocked_date,
    causes.hold_hours,
    causes.outcome,
    cast(causes.blocked_amount as bigint) as blocked_amount,
    cast(causes.blocked_reporting_amount as bigint) as blocked_reporting_amount,
    cast(causes.released_reporting_amount as bigint) as released_reporting_amount,
    cast(causes.lost_reporting_amount as bigint) as lost_reporting_amount,
    orders.currency_code,
    orders.channel_id,
    orders.location_id,
    orders.ship_to_country,
    orders.ship_to_region,
    orders.customer_key
from causes
inner join orders using (order_id)
