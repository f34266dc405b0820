with lines as (
    select
        lines.po_line_id,
        orders.supplier_id,
        lines.sku,
        lines.location_id,
        lines.ordered_qty,
        lines.received_qty,
        {{ local_date('orders.confirmed_at') }} as confirmed_date,
        {{ local_date('coalesce(lines.expected_at, orders.expected_at)') }} as given_date,
        {{ local_date('coalesce(orders.confirmed_at, orders.created_at)') }} + cast(items.lead_time_days as integer) as derived_date,
        case when lines.received_qty > 0 then {{ local_date('coalesce(lines.received_at, orders.received_at)') }} end as received_date,
        {{ is_called_off_status('orders.status') }} as is_cancelled,
        lines.received_qty < lines.ordered_qty and not {{ is_finished_status('orders.status') }} as is_open,
        coalesce(lines.unit_cost, items.unit_cost) as unit_cost,
        coalesce(orders.currency_code, items.currency_code, suppliers.currency_code, {{ reporting_currency() }}) as currency_code
    from {{ ref('stg_shop__purchase_order_lines') }} as lines
    inner join {{ ref('stg_shop__purchase_orders') }} as orders using (po_id)
    left join {{ ref('stg_shop__suppliers') }} as suppliers on orders.supplier_id = suppliers.supplier_id
    left join {{ ref('stg_shop__supplier_items') }} as items on orders.supplier_id = items.supplier_id and lines.sku = items.sku
),

promised as (
    select
        *,
        coalesce(given_date, derived_date) as expected_date,
        case
            when given_date is not null then 'given'
            when derived_date is not null then 'derived'
        end as promise_basis,
        {{ minor_units('(received_qty * unit_cost)', 'currency_code') }} as received_amount
    from lines
)

select
    promised.po_line_id,
    promised.supplier_id,
    promised.sku,
    promised.location_id,
    promised.ordered_qty,
    promised.received_qty,
    case when promised.is_open or promised.is_cancelled then 0 else greatest(promised.ordered_qty - promised.received_qty, 0) end as short_qty,
    promised.confirmed_date,
    promised.expected_date,
    promised.promise_basis,
    promised.received_date,
    case when not promised.is_open then coalesce(promised.received_date, promised.expected_date) end as closed_date,
    promised.expected_date - promised.confirmed_date as promised_days,
    case when promised.received_date >= promised.confirmed_date then promised.received_date - promised.confirmed_date end as lead_time_days,
    case
        when promised.received_date is not null then promised.received_date <= promised.expected_date
        when promised.expected_date <= {{ as_of_date() }} then false
    end as is_on_time,
    not promised.is_open and not promised.is_cancelled and promised.received_qty < promised.ordered_qty as is_short,
    promised.is_open,
    promised.is_cancelled,
    promised.received_amount,
    {{ reporting_amount('promised.received_amount', 'promised.currency_code', 'rates.reporting_rate') }} as received_reporting_amount,
    promised.currency_code
from promised
left join {{ ref('int_exchange_rates') }} as rates on promised.currency_code = rates.currency_code and promised.received_date = rates.rate_date
