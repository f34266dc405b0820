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

rebuilt_levels as (
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

rebuilt as (
    select
        sku,
        location_id,
        from_date + unnest(range(until_date - from_date))::integer as stock_date,
        on_hand_qty
    from rebuilt_levels
),

kept_levels as (
    select
        sku,
        location_id,
        greatest(valid_from_date, {{ as_of_date() }} - {{ stock_history_days() - 1 }}) as from_date,
        coalesce(
            lead(valid_from_date) over (partition by sku, location_id order by valid_from_date), {{ as_of_date() }} + 1
        ) as until_date,
        on_hand_qty,
        on_hand_qty - coalesce(committed_qty, 0) - coalesce(reserved_qty, 0) - coalesce(damaged_qty, 0) as available_qty
    from {{ ref('stg_history__stock_levels') }}
    where valid_from_date <= {{ as_of_date() }}
),

kept as (
    select
        sku,
        location_id,
        from_date + unnest(range(until_date - from_date))::integer as stock_date,
        on_hand_qty,
        available_qty
    from kept_levels
    where on_hand_qty is not null
),

{# a snapshot goes before movements, movements before a snapshot of an earlier day #}
known as (
    select
        sku,
        location_id,
        stock_date,
        case
            when kept.sku is not null and snapshots.snapshot_date is not null then 'snapshot'
            when rebuilt.sku is not null then 'rebuilt'
            else 'carried'
        end as stock_basis,
        case when stock_basis = 'rebuilt' then rebuilt.on_hand_qty else kept.on_hand_qty end as on_hand_qty,
        case when stock_basis = 'rebuilt' then rebuilt.on_hand_qty else kept.available_qty end as available_qty
    from rebuilt
    full join kept using (sku, location_id, stock_date)
    left join {{ ref('stg_history__stock_snapshots') }} as snapshots on stock_date = snapshots.snapshot_date
),

valued as (
    select
        known.sku,
        known.location_id,
        known.stock_date,
        known.stock_basis,
        known.on_hand_qty,
        known.available_qty,
        coalesce(products.launched_date <= known.stock_date, true)
        and coalesce(products.discontinued_date > known.stock_date, true) as is_active_item,
        known.available_qty > 0 as is_in_stock,
        products.unit_cost_amount is not null as has_unit_cost,
        coalesce(sales.shipped_qty, 0) as shipped_qty,
        {{ reporting_amount('(greatest(known.on_hand_qty, 0) * products.unit_cost_amount)', 'products.currency_code', 'rates.reporting_rate') }}
            as stock_value_reporting_amount,
        {{ reporting_amount('(coalesce(sales.sold_qty, 0) * products.unit_cost_amount)', 'products.currency_code', 'rates.reporting_rate') }}
            as cogs_reporting_amount,
        case when sales.sku is null then 0 else sales.net_reporting_amount end as net_reporting_amount
    from known
    left join {{ ref('dim_products') }} as products using (sku)
    left join {{ ref('int_exchange_rates') }} as rates on products.currency_code = rates.currency_code and known.stock_date = rates.rate_date
    left join {{ ref('int_stock_sales_daily') }} as sales
        on known.sku = sales.sku and known.location_id = sales.location_id and known.stock_date = sales.sales_date
)

select
    * exclude (net_reporting_amount),
    net_reporting_amount - cogs_reporting_amount as gross_margin_reporting_amount
from valued
