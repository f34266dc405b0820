{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('int_orders_promised') }}
    where {{ is_changed('order_id') }}
),

fulfilled as (
    select
        order_id,
        cast(sum(ordered_qty) as bigint) as ordered_qty,
        cast(sum(shipped_qty) as bigint) as shipped_qty,
        cast(sum(net_amount) as bigint) as net_amount,
        cast(sum(net_reporting_amount) as bigint) as net_reporting_amount,
        min(first_shipped_at) as shipped_at,
        max(last_delivered_at) as last_delivered_at,
        bool_or(has_backward_shipment) as has_backward_shipment,
        bool_or(delivered_qty > 0) as is_delivered,
        {# a gift card is never shipped: only other lines can keep an order open #}
        bool_and(shipped_qty >= ordered_qty - removed_qty) filter (where not is_gift_card) as is_shipped_complete,
        bool_and(delivered_qty >= ordered_qty - removed_qty) filter (where not is_gift_card) as is_delivered_complete,
        bool_or(not is_gift_card) as has_goods,
        bool_or(removed_qty < ordered_qty) filter (where not is_gift_card) as has_goods_left,
        bool_or(removed_qty > 0) as is_cut,
        {# null without a line that own stock fills #}
        bool_and(is_filled) filter (where is_from_stock) as is_filled
    from {{ ref('int_order_lines_fulfilled') }}
    where {{ is_changed('order_id') }}
    group by order_id
),

parcels as (
    select
        order_id,
        case when min(carrier) = max(carrier) then min(carrier) when min(carrier) < max(carrier) then 'several' end as carrier,
        bool_or(has_document_error) as has_document_error
    from {{ ref('stg_shop__shipments') }}
    where not {{ is_called_off_parcel('status') }} and {{ is_changed('order_id') }}
    group by order_id
),

complained as (
    select distinct order_id
    from {{ ref('fct_order_lines') }}
    where fulfilment_error is not null and {{ is_changed('order_id') }}
),

blocked as (
    select distinct order_id
    from {{ ref('fct_blocked_orders') }}
    where {{ is_changed('order_id') }}
),

reviewed as (
    select distinct order_id
    from {{ ref('stg_shop__reviews') }}
    where {{ is_changed('order_id') }}
),

timed as (
    select
        orders.*,
        coalesce(fulfilled.ordered_qty, 0) as ordered_qty,
        coalesce(fulfilled.shipped_qty, 0) as shipped_qty,
        coalesce(fulfilled.net_amount, 0) as net_amount,
        case when fulfilled.order_id is null then 0 else fulfilled.net_reporting_amount end as net_reporting_amount,
        fulfilled.shipped_at,
        coalesce(fulfilled.is_shipped_complete, false) as is_shipped_complete,
        coalesce(fulfilled.is_delivered_complete and fulfilled.is_delivered, false) as is_delivered_complete,
        coalesce(fulfilled.has_goods, true) as has_goods,
        coalesce(fulfilled.has_goods_left, fulfilled.order_id is null) as has_goods_left,
        coalesce(fulfilled.is_cut, false) as is_cut,
        coalesce(fulfilled.has_backward_shipment, false) as has_backward_shipment,
        fulfilled.is_filled,
        case when fulfilled.is_delivered_complete then fulfilled.last_delivered_at end as delivered_at,
        parcels.carrier,
        parcels.has_document_error,
        complained.order_id is not null as has_complaint,
        blocked.order_id is not null as is_blocked,
        reviewed.order_id is not null as is_reviewed
    from orders
    left join fulfilled using (order_id)
    left join parcels using (order_id)
    left join complained using (order_id)
    left join blocked using (order_id)
    left join reviewed using (order_id)
),

dated as (
    select
        *,
        {{ local_date('delivered_at') }} as delivered_date,
        has_backward_shipment
        or {{ runs_backwards('approved_at', ['ordered_at']) }}
        or {{ runs_backwards('released_at', ['approved_at', 'ordered_at']) }}
        or {{ runs_backwards('shipped_at', ['released_at', 'approved_at', 'ordered_at']) }}
        or {{ runs_backwards('delivered_at', ['shipped_at', 'released_at', 'approved_at', 'ordered_at']) }}
            as has_impossible_timeline,
        {{ stage_days('delivered_at', ['ordered_at']) }} as cycle_time_days
    from timed
),

judged as (
    select
        *,
        case
            when is_delivered_complete then delivered_date <= promised_delivery_date and not is_cut
            when promised_delivery_date <= {{ as_of_date() }} and has_goods then false
        end as is_on_time_in_full,
        {# the customer asked for a later day than usual: what the order then waited before it went to the floor was on purpose #}
        case
            when cycle_time_days is null then null
            when requested_delivery_at is null then 0.0
            else greatest(least(
                {{ days_between('ordered_at', 'requested_delivery_at') }} - {{ sla_delivery_days() }},
                case
                    when released_at is not null then {{ days_between('coalesce(approved_at, ordered_at)', 'released_at') }}
                    when shipped_at is not null then {{ days_between('coalesce(approved_at, ordered_at)', 'shipped_at') }} - {{ sla_ship_days() }}
                    else cycle_time_days - {{ sla_delivery_days() }}
                end,
                cycle_time_days
            ), 0.0)
        end as dwell_days
    from dated
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
    closed_at,
    {# the local day from which nobody waits for it any more #}
    case
        when not has_goods_left then ordered_date
        when coalesce(cancelled_date, closed_date, delivered_date) is not null
            then greatest(least(cancelled_date, closed_date, delivered_date), ordered_date)
    end as ended_date,
    promised_ship_at,
    promised_ship_date,
    promised_delivery_at,
    promised_delivery_date,
    promise_basis,
    ship_promise_basis,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    carrier,
    currency_code,
    customer_key,
    cancel_reason,
    is_cancelled,
    is_test,
    has_goods_left and not is_cancelled and closed_at is null and not is_delivered_complete as is_open,
    is_shipped_complete,
    is_delivered_complete,
    delivered_at > promised_delivery_at as is_late_by_timestamp,
    delivered_date > promised_delivery_date as is_late_by_date,
    is_on_time_in_full,
    is_filled,
    is_on_time_in_full and not has_complaint and not coalesce(has_document_error, false) as is_perfect,
    has_document_error is not null as has_document_check,
    is_cancelled or is_blocked or has_impossible_timeline as has_exception,
    is_reviewed,
    has_impossible_timeline,
    cycle_time_days,
    cycle_time_days - dwell_days as net_cycle_time_days,
    {{ stage_days('approved_at', ['ordered_at']) }} as create_to_approve_days,
    {{ stage_days('released_at', ['approved_at', 'ordered_at']) }} as approve_to_release_days,
    {{ stage_days('shipped_at', ['released_at', 'approved_at', 'ordered_at']) }} as release_to_ship_days,
    case when not has_backward_shipment then {{ stage_days('delivered_at', ['shipped_at', 'released_at', 'approved_at', 'ordered_at']) }} end
        as ship_to_deliver_days,
    ordered_qty,
    shipped_qty,
    net_amount,
    net_reporting_amount
from judged
