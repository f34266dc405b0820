{{ config(**per_order()) }}

with lines as (
    select
        order_line_id,
        order_id,
        sku,
        location_id,
        ordered_qty,
        shipped_qty,
        net_amount,
        net_reporting_amount
    from {{ ref('int_order_lines_fulfilled') }}
    where is_from_stock and not is_cancelled and not is_test and {{ is_changed('order_id') }}
),

shipments as (
    select
        shipment_id,
        location_id,
        coalesce(shipped_at, delivered_at) as left_at
    from {{ ref('stg_shop__shipments') }}
    where coalesce(shipped_at, delivered_at) is not null and not {{ is_called_off_parcel('status') }} and {{ is_changed('order_id') }}
),

returned as (
    select
        return_line_id,
        order_line_id,
        returned_qty,
        received_at,
        refunded_at,
        restock_type,
        condition,
        refund_amount,
        currency_code
    from {{ ref('int_return_lines_refunded') }}
    where {{ is_changed('order_id') }}
),

shipped as (
    select
        'shipped' as event_type,
        shipment_lines.shipment_id as document_id,
        lines.order_line_id,
        lines.order_id,
        lines.sku,
        coalesce(shipments.location_id, lines.location_id) as location_id,
        {{ local_date('shipments.left_at') }} as sales_date,
        shipment_lines.shipped_qty,
        0 as restocked_qty,
        {# a line's money in equal parts on its units; of a line that left twice no more than its money #}
        case
            when lines.net_amount * shipment_lines.shipped_qty = 0 then 0
            else lines.net_reporting_amount * cast(shipment_lines.shipped_qty as double) / nullif(greatest(lines.ordered_qty, lines.shipped_qty), 0)
        end as net_reporting_amount
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join shipments using (shipment_id)
    inner join lines using (order_line_id)
),

refunds as (
    select
        returned.return_line_id,
        lines.order_line_id,
        lines.order_id,
        lines.sku,
        lines.location_id,
        {{ local_date('returned.refunded_at') }} as sales_date,
        returned.refund_amount,
        returned.currency_code
    from returned
    inner join lines using (order_line_id)
    where returned.refunded_at is not null and returned.refund_amount is not null
),

refunded as (
    select
        'refunded' as event_type,
        refunds.return_line_id as document_id,
        refunds.order_line_id,
        refunds.order_id,
        refunds.sku,
        refunds.location_id,
        refunds.sales_date,
        0 as shipped_qty,
        0 as restocked_qty,
        case
            when refunds.refund_amount = 0 then 0
            else -{{ reporting_amount('refunds.refund_amount', 'refunds.currency_code', 'rates.reporting_rate') }}
        end as net_reporting_amount
    from refunds
    left join {{ ref('int_exchange_rates') }} as rates on refunds.currency_code = rates.currency_code and refunds.sales_date = rates.rate_date
),

{# goods that went back on the shelf are sold no longer; what came back broken stays a cost #}
restocked as (
    select
        'restocked' as event_type,
        returned.return_line_id as document_id,
        lines.order_line_id,
        lines.order_id,
        lines.sku,
        lines.location_id,
        {{ local_date('returned.received_at') }} as sales_date,
        0 as shipped_qty,
        returned.returned_qty as restocked_qty,
        0 as net_reporting_amount
    from returned
    inner join lines using (order_line_id)
    where returned.received_at is not null and {{ is_back_on_shelf('returned.restock_type', 'returned.condition') }}
),

events as (
    select * from shipped
    union all
    select * from refunded
    union all
    select * from restocked
)

select
    event_type,
    document_id,
    order_line_id,
    order_id,
    sku,
    location_id,
    sales_date,
    shipped_qty,
    shipped_qty - restocked_qty as sold_qty,
    cast(net_reporting_amount as double) as net_reporting_amount
from events
