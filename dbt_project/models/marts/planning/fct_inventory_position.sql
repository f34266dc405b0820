with fulfilled as (
    select * from {{ ref('int_order_lines_fulfilled') }}
),

waiting as (
    select
        sku,
        location_id,
        cast(sum(open_qty) as bigint) as waiting_qty
    from fulfilled
    where not is_test and is_from_stock
    group by sku, location_id
),

shipping as (
    {# where no shipment is known every order ever placed would seem to wait #}
    select coalesce(bool_or(shipped_qty > 0), false) as is_known
    from fulfilled
)

select
    levels.sku,
    levels.location_id,
    levels.on_hand_qty,
    levels.committed_qty,
    levels.reserved_qty,
    levels.damaged_qty,
    levels.on_hand_qty - coalesce(levels.committed_qty, 0) - coalesce(levels.reserved_qty, 0) - coalesce(levels.damaged_qty, 0)
        as available_qty,
    {# lines whose promise is not due yet are usually what committed holds #}
    case when shipping.is_known then greatest(coalesce(waiting.waiting_qty, 0) - coalesce(levels.committed_qty, 0), 0) end
        as backorder_qty,
    levels.stock_version
from {{ ref('stg_shop__stock_levels') }} as levels
cross join shipping
left join waiting using (sku, location_id)
