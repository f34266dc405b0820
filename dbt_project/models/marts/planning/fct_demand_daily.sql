select
    sku,
    location_id,
    ordered_date as demand_date,
    {# of a cancelled order only what left before the cancellation was wanted #}
    cast(sum(case when is_cancelled then least(shipped_qty, ordered_qty) else ordered_qty end) as bigint) as demand_qty
from {{ ref('int_order_lines_fulfilled') }}
where
    not is_test
    and is_from_stock
    and ordered_date <= {{ as_of_date() }}
group by sku, location_id, ordered_date
having sum(case when is_cancelled then least(shipped_qty, ordered_qty) else ordered_qty end) > 0
