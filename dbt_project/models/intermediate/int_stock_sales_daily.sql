with lines as (
    select
        order_line_id,
        sku,
        location_id,
        ordered_qty,
        shipped_qty,
        net_amount,
        net_reporting_amount
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
        case
            when lines.net_amount * shipment_lines.shipped_qty = 0 then 0
            else lines.net_reporting_amount * cast(shipment_lines.shipped_qty as double) / nullif(greatest(lines.ordered_qty, lines.shipped_qty), 0)
        end as net_reporting_amount
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    inner join lines using (order_line_id)
    where
        coalesce(shipments.shipped_at, shipments.delivered_at) is not null
        and not {{ is_called_off_parcel('shipments.status') }}
),

refunds as (
    select
        lines.sku,
        lines.location_id,
        {{ local_date('returned.refunded_at') }} as sales_date,
        returned.refund_amount,
        returned.currency_code
    from {{ ref('int_return_lines_refunded') }} as returned
    inner join lines using (order_line_id)
    where returned.refunded_at is not null and returned.refund_amount is not null
),

refunded as (
    select
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
        lines.sku,
        lines.location_id,
        {{ local_date('returns.received_at') }} as sales_date,
        0 as shipped_qty,
        return_lines.returned_qty as restocked_qty,
        0 as net_reporting_amount
    from {{ ref('int_return_lines_refunded') }} as returned
    inner join {{ ref('stg_shop__return_lines') }} as return_lines using (return_line_id)
    inner join {{ ref('stg_shop__returns') }} as returns on return_lines.return_id = returns.return_id
    inner join lines on returned.order_line_id = lines.order_line_id
    where returns.received_at is not null and {{ is_back_on_shelf('return_lines.restock_type', 'return_lines.condition') }}
),

events as (
    select * from shipped
    union all
    select * from refunded
    union all
    select * from restocked
)

select
    sku,
    location_id,
    sales_date,
    cast(sum(shipped_qty) as bigint) as shipped_qty,
    cast(sum(shipped_qty - restocked_qty) as bigint) as sold_qty,
    {# one amount without a rate leaves the day's sum unknown #}
    case when count(*) = count(net_reporting_amount) then cast(round(sum(net_reporting_amount)) as bigint) end as net_reporting_amount
from events
group by sku, location_id, sales_date
