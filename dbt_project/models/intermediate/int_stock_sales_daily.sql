with lines as (
    select
        order_line_id,
        sku,
        location_id,
        currency_code,
        ordered_date,
        ordered_qty,
        shipped_qty,
        net_amount
    from {{ ref('int_order_lines_fulfilled') }}
    where is_from_stock and not is_cancelled and not is_test
),

shipped as (
    select
        lines.sku,
        coalesce(shipments.location_id, lines.location_id) as location_id,
        {{ local_date('coalesce(shipments.shipped_at, shipments.delivered_at)') }} as sales_date,
        shipment_lines.shipped_qty,
        0 as restocked_qty,
        {# a line's money in equal parts on its units; of a line that left twice no more than its money #}
        lines.net_amount * cast(shipment_lines.shipped_qty as double) / nullif(greatest(lines.ordered_qty, lines.shipped_qty), 0) as net_amount,
        lines.currency_code,
        lines.ordered_date as rate_date
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    inner join lines using (order_line_id)
    where
        coalesce(shipments.shipped_at, shipments.delivered_at) is not null
        and shipments.status not in ('cancelled', 'canceled', 'voided')
),

refunded as (
    select
        lines.sku,
        lines.location_id,
        {{ local_date('returned.refunded_at') }} as sales_date,
        0 as shipped_qty,
        0 as restocked_qty,
        -returned.refund_amount as net_amount,
        returned.currency_code,
        {{ local_date('returned.refunded_at') }} as rate_date
    from {{ ref('int_return_lines_refunded') }} as returned
    inner join lines using (order_line_id)
    where returned.refunded_at is not null and returned.refund_amount is not null
),

{# goods that went back on the shelf are sold no longer; what came back broken stays a cost #}
restocked as (
    select
        lines.sku,
        lines.location_id,
        {{ local_date('returns.received_at') }} as sales_date,
        0 as shipped_qty,
        return_lines.returned_qty as restocked_qty,
        0 as net_amount,
        lines.currency_code,
        {{ local_date('returns.received_at') }} as rate_date
    from {{ ref('int_return_lines_refunded') }} as returned
    inner join {{ ref('stg_shop__return_lines') }} as return_lines using (return_line_id)
    inner join {{ ref('stg_shop__returns') }} as returns on return_lines.return_id = returns.return_id
    inner join lines on returned.order_line_id = lines.order_line_id
    where returns.received_at is not null and return_lines.restock_type = 'return'
),

events as (
    select * from shipped
    union all
    select * from refunded
    union all
    select * from restocked
),

converted as (
    select
        events.sku,
        events.location_id,
        events.sales_date,
        events.shipped_qty,
        events.restocked_qty,
        case when events.net_amount = 0 then 0 else {{ reporting_amount('events.net_amount', 'events.currency_code', 'rates.reporting_rate') }} end
            as net_reporting_amount
    from events
    left join {{ ref('int_exchange_rates') }} as rates on events.currency_code = rates.currency_code and events.rate_date = rates.rate_date
)

select
    sku,
    location_id,
    sales_date,
    cast(sum(shipped_qty) as bigint) as shipped_qty,
    cast(sum(shipped_qty - restocked_qty) as bigint) as sold_qty,
    {# one amount without a rate leaves the day's sum unknown #}
    case when count(*) = count(net_reporting_amount) then cast(round(sum(net_reporting_amount)) as bigint) end as net_reporting_amount
from converted
group by sku, location_id, sales_date
