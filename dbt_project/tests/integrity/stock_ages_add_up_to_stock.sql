{# Each unit on the shelf at the as-of date has one age, known or not. #}
with aged as (
    select
        sku,
        location_id,
        sum(qty) as qty
    from {{ ref('fct_stock_age') }}
    group by sku, location_id
)

select
    stock.sku,
    stock.location_id,
    stock.on_hand_qty,
    aged.qty
from {{ ref('fct_stock_daily') }} as stock
full join aged using (sku, location_id)
where stock.stock_date = {{ as_of_date() }} and greatest(stock.on_hand_qty, 0) <> coalesce(aged.qty, 0)
