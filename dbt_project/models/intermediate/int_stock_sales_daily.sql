select
    sku,
    location_id,
    sales_date,
    cast(sum(shipped_qty) as bigint) as shipped_qty,
    cast(sum(sold_qty) as bigint) as sold_qty,
    {# one amount without a rate leaves the day's sum unknown #}
    case when count(*) = count(net_reporting_amount) then cast(round(sum(net_reporting_amount)) as bigint) end as net_reporting_amount
from {{ ref('int_stock_sales') }}
group by sku, location_id, sales_date
