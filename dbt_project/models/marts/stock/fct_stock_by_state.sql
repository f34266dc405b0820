select
    coalesce(location_id, 'all') as location_id,
    stock_state,
    is_owned,
    count(distinct sku) as skus_count,
    cast(sum(qty) as bigint) as qty,
    cast(sum(stock_value_reporting_amount) as bigint) as stock_value_reporting_amount,
    count(*) - count(stock_value_reporting_amount) as unvalued_count
from {{ ref('fct_stock_network') }}
group by grouping sets ((location_id, stock_state, is_owned), (stock_state, is_owned))
