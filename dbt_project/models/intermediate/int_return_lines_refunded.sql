{{ config(**per_order()) }}

{# a refund is shared by all lines of its return, so returns are computed whole #}
with returns as (
    select *
    from {{ ref('stg_shop__returns') }}
    {%- if computes_what_changed() %}
    where
        {{ is_changed_or_missing('order_id') }}
        or return_id in (
            select return_id
            from {{ ref('stg_shop__return_lines') }}
            where order_line_id in (select order_line_id from {{ ref('int_order_lines_fulfilled') }} where {{ is_changed('order_id') }})
        )
    {%- endif %}
),

lines as (
    select
        return_lines.return_line_id,
        return_lines.return_id,
        return_lines.sku,
        return_lines.returned_qty,
        case when coalesce(returns.match_basis, 'given') in ('given', 'matched') then order_lines.order_line_id end as order_line_id,
        coalesce(order_lines.order_id, returns.order_id) as order_id,
        returns.created_at,
        returns.received_at,
        returns.refunded_at,
        returns.match_basis,
        returns.exchange_order_id,
        return_lines.reason_code,
        return_lines.restock_type,
        return_lines.condition,
        coalesce(returns.currency_code, orders.currency_code, {{ reporting_currency() }}) as currency_code,
        returns.refund,
        {# what the customer paid for the units that came back; nothing where the line is not known #}
        return_lines.returned_qty * coalesce(order_lines.net_amount / nullif(order_lines.ordered_qty, 0), 0) as paid_value
    from {{ ref('stg_shop__return_lines') }} as return_lines
    inner join returns using (return_id)
    left join {{ ref('int_order_lines_fulfilled') }} as order_lines on return_lines.order_line_id = order_lines.order_line_id
    left join {{ ref('int_orders_promised') }} as orders on coalesce(order_lines.order_id, returns.order_id) = orders.order_id
),

weighted as (
    select
        *,
        {{ minor_units('refund', 'currency_code') }} as return_refund_amount,
        case when min(paid_value) over (partition by return_id) > 0 then paid_value else returned_qty end as weight
    from lines
),

running as (
    select
        *,
        round(
            return_refund_amount
            * sum(weight) over (partition by return_id order by return_line_id rows unbounded preceding)
            / sum(weight) over (partition by return_id)
        ) as refund_through_line
    from weighted
)

{# a refund belongs to a return, not to a line: each line takes the difference of two rounded running totals, so lines sum to it exactly #}
select
    return_line_id,
    return_id,
    order_line_id,
    order_id,
    sku,
    returned_qty,
    created_at,
    received_at,
    refunded_at,
    case when order_line_id is null then 'unmatched' else coalesce(match_basis, 'given') end as match_basis,
    exchange_order_id,
    reason_code,
    restock_type,
    condition,
    currency_code,
    cast(refund_through_line - coalesce(lag(refund_through_line) over (partition by return_id order by return_line_id), 0) as bigint)
        as refund_amount
from running
where {{ is_changed_or_missing('order_id') }}
