{# an approval counts from the moment it was made, until nobody has submitted its draft for too long #}
with released as (
    select
        line_id,
        sku
    from {{ ref('draft_lines') }}
    where is_released
),

purchases as (
    select
        'purchase_order_line' as reference_type,
        lines.po_line_id as reference_id,
        lines.sku,
        lines.location_id,
        orders.po_id,
        orders.supplier_id,
        orders.status as order_status,
        coalesce(
            lines.expected_at,
            orders.expected_at,
            coalesce(orders.confirmed_at, orders.created_at) + to_days(cast(items.lead_time_days as integer))
        ) as expected_at,
        lines.ordered_qty - lines.received_qty as open_qty
    from {{ ref('stg_shop__purchase_order_lines') }} as lines
    inner join {{ ref('stg_shop__purchase_orders') }} as orders using (po_id)
    left join {{ ref('stg_shop__supplier_items') }} as items on orders.supplier_id = items.supplier_id and lines.sku = items.sku
    left join released on lines.po_line_id = released.line_id and lines.sku = released.sku
    where
        not {{ is_finished_status('orders.status') }}
        and not (orders.status = 'draft' and released.line_id is not null)
        and lines.ordered_qty > lines.received_qty
),

transfers as (
    select
        'transfer' as reference_type,
        transfer_id as reference_id,
        lines.sku,
        transfers.to_location_id as location_id,
        null as po_id,
        null as supplier_id,
        transfers.status as order_status,
        transfers.expected_at,
        lines.transfer_qty as open_qty
    from {{ ref('stg_shop__transfer_lines') }} as lines
    inner join {{ ref('stg_shop__transfers') }} as transfers using (transfer_id)
    left join released on lines.transfer_id = released.line_id and lines.sku = released.sku
    where
        not {{ is_finished_status('transfers.status') }}
        and not (transfers.status = 'draft' and released.line_id is not null)
        and transfers.received_at is null
),

{# what was handed to a system outside, until the shop's own tables name it #}
handed_over as (
    select
        case drafts.kind when 'transfer' then 'transfer' else 'purchase_order_line' end as reference_type,
        drafts.line_id as reference_id,
        drafts.sku,
        drafts.location_id,
        null as po_id,
        null as supplier_id,
        'draft' as order_status,
        drafts.expected_date,
        drafts.qty as open_qty
    from {{ ref('draft_lines') }} as drafts
    left join {{ ref('stg_shop__purchase_order_lines') }} as lines on drafts.rec_id = lines.rec_id
    where
        drafts.target = 'outbox'
        and not drafts.is_released
        and lines.rec_id is null
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
    po_id,
    supplier_id,
    order_status,
    {{ local_date('expected_at') }} as expected_date,
    open_qty
from inbound
union all
select * from handed_over
