{# By another path, straight from staging and in decimals: sales per currency without units that were given up unrefunded (a line rounds by
   half a minor unit at most, and so does what was given up of it), and each refund whose return counts in full, to the minor unit. #}
with packed as (
    select
        shipment_lines.order_line_id,
        sum(shipment_lines.shipped_qty) as units
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    where not {{ is_called_off_parcel('shipments.status') }}
    group by shipment_lines.order_line_id
),

paid_back as (
    select
        return_lines.order_line_id,
        sum(return_lines.returned_qty) as units
    from {{ ref('stg_shop__return_lines') }} as return_lines
    inner join {{ ref('stg_shop__returns') }} as returns using (return_id)
    where returns.refunded_at is not null and (returns.received_at is null or return_lines.restock_type = 'cancel')
    group by return_lines.order_line_id
),

staged_lines as (
    select
        orders.currency_code,
        order_lines.ordered_qty,
        order_lines.ordered_qty * order_lines.unit_price - coalesce(order_lines.total_discount, 0) as net_value,
        case
            when order_lines.is_gift_card or order_lines.fulfillable_qty is null then 0
            else greatest(
                order_lines.ordered_qty
                - coalesce(packed.units, 0)
                - case when orders.closed_at is null then order_lines.fulfillable_qty else 0 end
                - coalesce(paid_back.units, 0),
                0
            )
        end as unsold_qty
    from {{ ref('stg_shop__order_lines') }} as order_lines
    inner join {{ ref('stg_shop__orders') }} as orders using (order_id)
    left join packed on order_lines.order_line_id = packed.order_line_id
    left join paid_back on order_lines.order_line_id = paid_back.order_line_id
    where orders.cancelled_at is null and not orders.is_test
),

staged_sales as (
    select
        currency_code as counted,
        sum(case when unsold_qty = 0 then net_value else net_value * (ordered_qty - unsold_qty) / ordered_qty end)
        * any_value({{ minor_units_per_major('currency_code') }}) as expected_amount,
        0.5 * count(*) + 0.5 * count(*) filter (where unsold_qty > 0) as tolerance
    from staged_lines
    group by currency_code
    having count(*) filter (where unsold_qty = 0 or unsold_qty < ordered_qty) > 0
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
