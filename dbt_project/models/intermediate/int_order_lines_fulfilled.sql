{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('int_orders_promised') }}
    where {{ is_changed('order_id') }}
),

parcels as (
    select
        shipment_id,
        shipped_at,
        delivered_at,
        {# a parcel that arrived has left, even where nobody scanned it out #}
        coalesce(shipped_at, delivered_at) as left_at,
        {{ local_date('coalesce(shipped_at, delivered_at)') }} as left_date
    from {{ ref('stg_shop__shipments') }}
    where not {{ is_called_off_parcel('status') }} and {{ is_changed('order_id') }}
),

lines as (
    select
        order_lines.order_line_id,
        order_lines.order_id,
        order_lines.sku,
        order_lines.ordered_qty,
        order_lines.fulfillable_qty,
        order_lines.is_gift_card,
        not (order_lines.is_gift_card or order_lines.is_special_order or order_lines.is_drop_ship) as is_from_stock,
        {{ minor_units('(order_lines.ordered_qty * order_lines.unit_price)', 'orders.currency_code') }} as gross_amount,
        {{ minor_units('(order_lines.ordered_qty * order_lines.unit_price - coalesce(order_lines.total_discount, 0))', 'orders.currency_code') }} as net_amount,
        orders.channel_id,
        orders.location_id,
        orders.ship_to_country,
        orders.ship_to_region,
        orders.ordered_date,
        orders.promised_ship_date,
        orders.ship_promise_basis,
        orders.is_cancelled,
        orders.closed_at is not null as is_closed,
        orders.is_test,
        orders.customer_key,
        orders.currency_code
    from {{ ref('stg_shop__order_lines') }} as order_lines
    inner join orders using (order_id)
    where {{ is_changed('order_lines.order_id') }}
),

packed as (
    select
        lines.order_line_id,
        lines.order_id,
        lines.is_from_stock,
        lines.promised_ship_date,
        shipment_lines.shipped_qty as packed_qty,
        case when parcels.left_at is not null then shipment_lines.shipped_qty else 0 end as shipped_qty,
        parcels.shipped_at,
        parcels.delivered_at,
        parcels.left_at,
        parcels.left_date
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join parcels using (shipment_id)
    inner join lines using (order_line_id)
),

{# parcels that leave on one day are one shipment, from however many places; what a supplier sends directly opens none #}
first_shipments as (
    select
        order_id,
        min(left_date) as left_date
    from packed
    where is_from_stock
    group by order_id
),

shipped_by_line as (
    select
        packed.order_line_id,
        cast(sum(packed.packed_qty) as bigint) as packed_qty,
        cast(sum(packed.shipped_qty) as bigint) as shipped_qty,
        cast(sum(case when packed.left_date <= packed.promised_ship_date then packed.shipped_qty else 0 end) as bigint) as left_on_time_qty,
        cast(sum(case
            when packed.left_date = first_shipments.left_date and packed.left_date <= packed.promised_ship_date then packed.shipped_qty
            else 0
        end) as bigint) as first_on_time_qty,
        cast(sum(case when packed.delivered_at is not null then packed.shipped_qty else 0 end) as bigint) as delivered_qty,
        min(packed.shipped_at) as first_shipped_at,
        min(packed.left_date) as first_left_date,
        max(packed.left_at) as last_left_at,
        max(packed.delivered_at) as last_delivered_at,
        coalesce(bool_or(packed.delivered_at < packed.shipped_at), false) as has_backward_shipment
    from packed
    left join first_shipments using (order_id)
    group by packed.order_line_id
),

counted as (
    select
        lines.*,
        coalesce(shipped.packed_qty, 0) as packed_qty,
        coalesce(shipped.shipped_qty, 0) as shipped_qty,
        {# least() passes over null, so a line that never shipped has to be zero before it #}
        least(coalesce(shipped.left_on_time_qty, 0), lines.ordered_qty) as shipped_on_time_qty,
        coalesce(shipped.delivered_qty, 0) as delivered_qty,
        {# units were taken out of the order where what is packed and what may still be sent are less than was ordered #}
        case
            when lines.is_cancelled or lines.is_gift_card or lines.fulfillable_qty is null then 0
            else greatest(lines.ordered_qty - coalesce(shipped.packed_qty, 0) - lines.fulfillable_qty, 0)
        end as removed_qty,
        shipped.first_shipped_at,
        shipped.first_left_date as shipped_date,
        shipped.last_left_at,
        shipped.last_delivered_at,
        coalesce(shipped.has_backward_shipment, false) as has_backward_shipment,
        lines.is_from_stock and coalesce(shipped.first_on_time_qty >= lines.ordered_qty, false) as is_filled
    from lines
    left join shipped_by_line as shipped using (order_line_id)
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
    lines.is_cancelled,
    lines.is_test,
    lines.customer_key,
    lines.currency_code,
    lines.ordered_qty,
    lines.removed_qty,
    lines.shipped_qty,
    lines.shipped_on_time_qty,
    lines.delivered_qty,
    {# with what a closed order might still have sent, where the source counts that #}
    case
        when lines.is_closed and not lines.is_cancelled and not lines.is_gift_card and lines.fulfillable_qty is not null
            then greatest(lines.ordered_qty - lines.packed_qty, 0)
        else lines.removed_qty
    end as given_up_qty,
    case when lines.is_cancelled or lines.is_closed then 0 else greatest(lines.ordered_qty - lines.removed_qty - lines.shipped_qty, 0) end as open_qty,
    lines.first_shipped_at,
    lines.shipped_date,
    lines.last_left_at,
    lines.last_delivered_at,
    lines.has_backward_shipment,
    lines.gross_amount,
    lines.net_amount,
    {{ reporting_amount('lines.gross_amount', 'lines.currency_code', 'rates.reporting_rate') }} as gross_reporting_amount,
    {{ reporting_amount('lines.net_amount', 'lines.currency_code', 'rates.reporting_rate') }} as net_reporting_amount,
    lines.is_gift_card,
    lines.is_from_stock,
    lines.is_filled
from counted as lines
left join {{ ref('int_exchange_rates') }} as rates on lines.currency_code = rates.currency_code and lines.ordered_date = rates.rate_date
