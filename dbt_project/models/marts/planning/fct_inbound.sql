with purchases as (
    select
        'purchase_order_line' as reference_type,
        lines.po_line_id as reference_id,
        lines.sku,
        lines.location_id,
        coalesce(
            lines.expected_at,
            orders.expected_at,
            coalesce(orders.confirmed_at, orders.created_at) + to_days(cast(items.lead_time_days as integer))
        ) as expected_at,
        lines.ordered_qty - lines.received_qty as open_qty
    from {{ ref('stg_shop__purchase_order_lines') }} as lines
    inner join {{ ref('stg_shop__purchase_orders') }} as orders using (po_id)
    left join {{ ref('stg_shop__supplier_items') }} as items on orders.supplier_id = items.supplier_id and lines.sku = items.sku
    where
        not {{ is_finished_status('orders.status') }}
        and lines.ordered_qty > lines.received_qty
),

transfers as (
    select
        'transfer' as reference_type,
        transfer_id as reference_id,
        lines.sku,
        transfers.to_location_id as location_id,
        transfers.expected_at,
        lines.transfer_qty as open_qty
    from {{ ref('stg_shop__transfer_lines') }} as lines
    inner join {{ ref('stg_shop__transfers') }} as transfers using (transfer_id)
    where
        not {{ is_finished_status('transfers.status') }}
        and transfers.received_at is null
),

inbound as (
    select * from purchases
    union all
    select * from transfers
)

select
    reference_type,
    reference_id,
    sku,
    location_id,
    {{ local_date('expected_at') }} as expected_date,
    open_qty
from inbound
