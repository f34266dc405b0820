with standing as (
    select
        sku,
        location_id,
        stock_date,
        on_hand_qty,
        stock_value_reporting_amount
    from {{ ref('fct_stock_daily') }}
    where stock_date = {{ as_of_date() }} and on_hand_qty > 0
),

{# what came in first has left first: of each receipt there is left what younger receipts do not account for #}
layers as (
    select
        standing.sku,
        standing.location_id,
        standing.stock_date - receipts.receipt_date as age_days,
        standing.on_hand_qty,
        receipts.received_qty,
        coalesce(
            sum(receipts.received_qty) over (
                partition by standing.sku, standing.location_id
                order by receipts.receipt_date desc, receipts.is_opening
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as younger_qty
    from standing
    inner join {{ ref('int_stock_receipts') }} as receipts
        on standing.sku = receipts.sku and standing.location_id = receipts.location_id and receipts.receipt_date <= standing.stock_date
),

left_over as (
    select
        sku,
        location_id,
        case
            when age_days <= 30 then '000-030'
            when age_days <= 90 then '031-090'
            when age_days <= {{ aged_after_days() }} then '091-180'
            when age_days <= 365 then '181-365'
            else '366+'
        end as age_band,
        age_days > {{ aged_after_days() }} as is_aged,
        least(received_qty, on_hand_qty - younger_qty) as qty
    from layers
    where younger_qty < on_hand_qty
),

unexplained as (
    select
        standing.sku,
        standing.location_id,
        'unknown' as age_band,
        false as is_aged,
        standing.on_hand_qty - coalesce(sum(left_over.qty), 0) as qty
    from standing
    left join left_over using (sku, location_id)
    group by standing.sku, standing.location_id, standing.on_hand_qty
),

banded as (
    select * from left_over
    union all
    select * from unexplained
    where qty > 0
)

select
    banded.sku,
    banded.location_id,
    banded.age_band,
    banded.is_aged,
    cast(sum(banded.qty) as bigint) as qty,
    {{ part_of_value('standing.stock_value_reporting_amount', 'sum(banded.qty)', 'standing.on_hand_qty') }} as stock_value_reporting_amount
from banded
inner join standing using (sku, location_id)
group by banded.sku, banded.location_id, banded.age_band, banded.is_aged, standing.on_hand_qty, standing.stock_value_reporting_amount
