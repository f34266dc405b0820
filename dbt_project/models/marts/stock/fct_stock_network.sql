with levels as (
    select * from {{ ref('fct_inventory_position') }}
),

travelling as (
    select
        lines.sku,
        transfers.to_location_id as location_id,
        cast(sum(lines.transfer_qty) as bigint) as qty
    from {{ ref('stg_shop__transfer_lines') }} as lines
    inner join {{ ref('stg_shop__transfers') }} as transfers using (transfer_id)
    where
        transfers.received_at is null
        and transfers.status not in ('cancelled', 'canceled', 'closed', 'done', 'received', 'rejected')
        {# what has not left yet still stands on the shelf it will leave #}
        and (transfers.shipped_at is not null or transfers.status in ('shipped', 'in_transit'))
    group by lines.sku, transfers.to_location_id
),

ordered as (
    select
        sku,
        location_id,
        cast(sum(open_qty) as bigint) as qty
    from {{ ref('fct_inbound') }}
    where reference_type = 'purchase_order_line'
    group by sku, location_id
),

states as (
    select sku, location_id, 'available' as stock_state, true as is_owned, available_qty as qty from levels
    union all
    select sku, location_id, 'committed', true, committed_qty from levels
    union all
    select sku, location_id, 'reserved', true, reserved_qty from levels
    union all
    select sku, location_id, 'damaged', true, damaged_qty from levels
    union all
    select sku, location_id, 'in_transit', true, qty from travelling
    union all
    select sku, location_id, 'on_order', false, qty from ordered
)

select
    states.sku,
    states.location_id,
    states.stock_state,
    states.is_owned,
    states.qty,
    {{ reporting_amount('(states.qty * products.unit_cost_amount)', 'products.currency_code', 'rates.reporting_rate') }}
        as stock_value_reporting_amount
from states
left join {{ ref('dim_products') }} as products using (sku)
left join {{ ref('int_exchange_rates') }} as rates
    on products.currency_code = rates.currency_code and rates.rate_date = {{ as_of_date() }}
where states.qty <> 0
