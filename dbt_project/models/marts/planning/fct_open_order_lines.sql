with fulfilled as (
    select * from {{ ref('int_order_lines_fulfilled') }}
),

shipping as (
    {# where no shipment is known every order ever placed would seem to wait #}
    select coalesce(bool_or(shipped_qty > 0), false) as is_known
    from fulfilled
)

select
    lines.order_line_id,
    lines.order_id,
    lines.sku,
    lines.location_id,
    lines.channel_id,
    channels.priority as channel_priority,
    lines.ordered_date,
    lines.promised_ship_date,
    lines.open_qty
from fulfilled as lines
cross join shipping
left join {{ ref('stg_shop__channels') }} as channels using (channel_id)
where shipping.is_known and lines.open_qty > 0 and lines.is_from_stock and not lines.is_test and lines.location_id is not null
