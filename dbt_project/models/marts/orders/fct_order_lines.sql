{{ config(**per_order()) }}

with returned as (
    select
        returns.order_line_id,
        cast(sum(returns.returned_qty) as bigint) as returned_qty,
        min({{ fulfilment_error('reasons.reason_code') }}) as fulfilment_error
    from {{ ref('int_return_lines_refunded') }} as returns
    inner join {{ ref('stg_shop__return_lines') }} as reasons using (return_line_id)
    where returns.order_line_id is not null and {{ is_changed('returns.order_id') }}
    group by returns.order_line_id
)

select
    lines.order_line_id,
    lines.order_id,
    lines.sku,
    lines.channel_id,
    lines.location_id,
    lines.ship_to_country,
    lines.ship_to_region,
    lines.ordered_date,
    lines.promised_ship_date,
    lines.ship_promise_basis,
    lines.ordered_qty,
    lines.given_up_qty,
    lines.shipped_qty,
    lines.shipped_on_time_qty,
    coalesce(returned.returned_qty, 0) as returned_qty,
    lines.shipped_date,
    lines.net_amount,
    lines.currency_code,
    lines.customer_key,
    returned.fulfilment_error,
    lines.is_cancelled,
    lines.is_test,
    lines.is_from_stock as is_fill_eligible,
    lines.is_filled
from {{ ref('int_order_lines_fulfilled') }} as lines
left join returned using (order_line_id)
where {{ is_changed('lines.order_id') }}
