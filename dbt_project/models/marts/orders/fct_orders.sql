with fulfilled as (
    select
        order_id,
        cast(sum(ordered_qty) as bigint) as ordered_qty,
        cast(sum(shipped_qty) as bigint) as shipped_qty,
        min(first_shipped_at) as shipped_at,
        max(last_delivered_at) as last_delivered_at,
        bool_or(has_backward_shipment) as has_backward_shipment,
        bool_or(delivered_qty > 0) as is_delivered,
        {# a gift card is never shipped: only other lines can keep an order open #}
        bool_and(shipped_qty >= ordered_qty) filter (where not is_gift_card) as is_shipped_complete,
        bool_and(delivered_qty >= ordered_qty) filter (where not is_gift_card) as is_delivered_complete,
        bool_or(not is_gift_card) as has_goods
    from {{ ref('int_order_lines_fulfilled') }}
    group by order_id
),

timed as (
    select
        orders.*,
        coalesce(fulfilled.ordered_qty, 0) as ordered_qty,
        coalesce(fulfilled.shipped_qty, 0) as shipped_qty,
        fulfilled.shipped_at,
        coalesce(fulfilled.is_delivered, false) as is_delivered,
        coalesce(fulfilled.is_shipped_complete, false) as is_shipped_complete,
        coalesce(fulfilled.is_delivered_complete, false) as is_delivered_complete,
        coalesce(fulfilled.has_goods, true) as has_goods,
        coalesce(fulfilled.has_backward_shipment, false) as has_backward_shipment,
        case when fulfilled.is_delivered_complete then fulfilled.last_delivered_at end as delivered_at
    from {{ ref('int_orders_promised') }} as orders
    left join fulfilled using (order_id)
),

dated as (
    select
        *,
        {{ local_date('delivered_at') }} as delivered_date
    from timed
)

select
    order_id,
    ordered_at,
    ordered_date,
    approved_at,
    released_at,
    shipped_at,
    delivered_at,
    delivered_date,
    promised_ship_at,
    promised_delivery_at,
    promised_delivery_date,
    promise_basis,
    ship_promise_basis,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    currency_code,
    customer_key,
    is_cancelled,
    is_test,
    is_delivered,
    has_goods and not is_cancelled and not is_delivered_complete as is_open,
    is_shipped_complete,
    is_delivered_complete,
    delivered_at > promised_delivery_at as is_late_by_timestamp,
    delivered_date > promised_delivery_date as is_late_by_date,
    case
        when is_delivered_complete then delivered_date <= promised_delivery_date
        when promised_delivery_date <= {{ as_of_date() }} and has_goods then false
    end as is_on_time_in_full,
    has_backward_shipment
    or {{ runs_backwards('approved_at', ['ordered_at']) }}
    or {{ runs_backwards('released_at', ['approved_at', 'ordered_at']) }}
    or {{ runs_backwards('shipped_at', ['released_at', 'approved_at', 'ordered_at']) }}
    or {{ runs_backwards('delivered_at', ['shipped_at', 'released_at', 'approved_at', 'ordered_at']) }}
        as has_impossible_timeline,
    {{ stage_days('delivered_at', ['ordered_at']) }} as cycle_time_days,
    {{ stage_days('approved_at', ['ordered_at']) }} as create_to_approve_days,
    {{ stage_days('released_at', ['approved_at', 'ordered_at']) }} as approve_to_release_days,
    {{ stage_days('shipped_at', ['released_at', 'approved_at', 'ordered_at']) }} as release_to_ship_days,
    case when not has_backward_shipment then {{ stage_days('delivered_at', ['shipped_at', 'released_at', 'approved_at', 'ordered_at']) }} end
        as ship_to_deliver_days,
    ordered_qty,
    shipped_qty
from dated
