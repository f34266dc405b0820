{{ config(**per_order()) }}

with shipped as (
    select *
    from {{ ref('int_order_lines_fulfilled') }}
    where shipped_date is not null and {{ is_changed('order_id') }}
)

select
    'shipped:' || order_line_id as cohort_event_id,
    'shipped' as event_type,
    shipped_date,
    order_id,
    order_line_id,
    sku,
    cast(null as varchar) as reason_code,
    shipped_qty,
    cast(null as bigint) as returned_qty,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    customer_key,
    currency_code as order_currency_code,
    is_cancelled,
    is_test
from shipped
union all
{# the line's own sku and places: a rate divides what came back by what left, whatever the return says it holds #}
select
    'returned:' || returned.return_line_id as cohort_event_id,
    'returned' as event_type,
    shipped.shipped_date,
    shipped.order_id,
    shipped.order_line_id,
    shipped.sku,
    coalesce(returned.reason_code, 'unknown') as reason_code,
    cast(null as bigint) as shipped_qty,
    returned.returned_qty,
    shipped.channel_id,
    shipped.location_id,
    shipped.ship_to_country,
    shipped.ship_to_region,
    shipped.customer_key,
    shipped.currency_code as order_currency_code,
    shipped.is_cancelled,
    shipped.is_test
from {{ ref('int_return_lines_refunded') }} as returned
inner join shipped using (order_line_id)
where {{ is_changed('returned.order_id') }}
