with stocked as (
    select
        sku,
        location_id,
        min(stock_date) as first_date
    from {{ ref('fct_stock_daily') }}
    group by sku, location_id
),

receipts as (
    select
        receipts.sku,
        receipts.location_id,
        receipts.receipt_date as start_date,
        lead(receipts.receipt_date) over (partition by receipts.sku, receipts.location_id order by receipts.receipt_date) as end_date
    from {{ ref('int_stock_receipts') }} as receipts
    inner join stocked using (sku, location_id)
    where
        not receipts.is_opening
        and receipts.receipt_date between stocked.first_date and {{ as_of_date() }}
),

stock_outs as (
    select
        sku,
        location_id,
        stock_date
    from {{ ref('fct_stock_daily') }}
    where not is_in_stock
)

select
    receipts.sku,
    receipts.location_id,
    receipts.start_date,
    receipts.end_date,
    receipts.end_date is null as is_open,
    count(stock_outs.stock_date) = 0 as is_without_stock_out
from receipts
left join stock_outs
    on receipts.sku = stock_outs.sku and receipts.location_id = stock_outs.location_id
    and stock_outs.stock_date >= receipts.start_date
    and stock_outs.stock_date < coalesce(receipts.end_date, {{ as_of_date() }} + 1)
group by receipts.sku, receipts.location_id, receipts.start_date, receipts.end_date
