{# By another path, straight from staging and in decimals: sales per currency (a line rounds by half a minor unit at most), and each
   refund whose return counts in full, to the minor unit. #}
with staged_sales as (
    select
        orders.currency_code as counted,
        sum(order_lines.ordered_qty * order_lines.unit_price - coalesce(order_lines.total_discount, 0))
        * any_value({{ minor_units_per_major('orders.currency_code') }}) as expected_amount,
        0.5 * count(*) as tolerance
    from {{ ref('stg_shop__order_lines') }} as order_lines
    inner join {{ ref('stg_shop__orders') }} as orders using (order_id)
    where orders.cancelled_at is null and not orders.is_test
    group by orders.currency_code
),

event_sales as (
    select
        currency_code as counted,
        sum(net_amount) as net_amount
    from {{ ref('fct_sales_events') }}
    where event_type = 'sale'
    group by currency_code
),

refunds as (
    select
        returns.return_id as counted,
        -any_value({{ minor_units('returns.refund', 'events.currency_code') }}) as expected_amount,
        sum(events.net_amount) as net_amount,
        0 as tolerance
    from {{ ref('stg_shop__returns') }} as returns
    inner join {{ ref('stg_shop__return_lines') }} as return_lines using (return_id)
    left join {{ ref('fct_sales_events') }} as events on events.sales_event_id = 'refund:' || return_lines.return_line_id
    where returns.refund is not null
    group by returns.return_id
    having count(*) = count(events.sales_event_id)
),

compared as (
    select
        counted,
        staged_sales.expected_amount,
        event_sales.net_amount,
        staged_sales.tolerance
    from staged_sales
    full join event_sales using (counted)
    union all
    select
        counted,
        expected_amount,
        net_amount,
        tolerance
    from refunds
)

select *
from compared
where expected_amount is null or net_amount is null or abs(net_amount - expected_amount) > tolerance
