with moved as (
    select
        sku,
        location_id,
        {{ local_date('occurred_at') }} as stock_date,
        cast(sum(movement_qty) as bigint) as moved_qty
    from {{ ref('stg_shop__stock_movements') }}
    group by all
),

started as (
    select
        sku,
        location_id,
        greatest(min(stock_date), {{ as_of_date() }} - {{ stock_history_days() - 1 }}) as first_date
    from moved
    group by sku, location_id
),

{# today's stock less all that moved since the first day is what stood before it #}
opened as (
    select
        started.sku,
        started.location_id,
        started.first_date,
        stock.on_hand_qty - coalesce(sum(moved.moved_qty), 0) as opening_qty
    from started
    inner join {{ ref('stg_shop__stock_levels') }} as stock using (sku, location_id)
    left join moved on started.sku = moved.sku and started.location_id = moved.location_id and moved.stock_date >= started.first_date
    group by started.sku, started.location_id, started.first_date, stock.on_hand_qty
),

{# stock changes on far fewer days than it lasts: sums run over changes, and each level is then spread until the next change #}
changes as (
    select * from moved
    union all
    select
        sku,
        location_id,
        first_date,
        0
    from started
),

levels as (
    select
        opened.sku,
        opened.location_id,
        changes.stock_date as from_date,
        coalesce(lead(changes.stock_date) over series_by_day, {{ as_of_date() }} + 1) as until_date,
        cast(opened.opening_qty + sum(changes.moved_qty) over series_by_day as bigint) as on_hand_qty
    from opened
    inner join changes using (sku, location_id)
    where changes.stock_date between opened.first_date and {{ as_of_date() }}
    window series_by_day as (partition by opened.sku, opened.location_id order by changes.stock_date)
),

levelled as (
    select
        sku,
        location_id,
        from_date + unnest(range(until_date - from_date))::integer as stock_date,
        on_hand_qty
    from levels
)

select
    levelled.sku,
    levelled.location_id,
    levelled.stock_date,
    levelled.on_hand_qty,
    levelled.on_hand_qty as available_qty,
    coalesce(products.launched_date <= levelled.stock_date, true)
    and coalesce(products.discontinued_date > levelled.stock_date, true) as is_active_item,
    levelled.on_hand_qty > 0 as is_in_stock
from levelled
left join {{ ref('dim_products') }} as products on levelled.sku = products.sku
