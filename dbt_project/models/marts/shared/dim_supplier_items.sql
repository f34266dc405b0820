with items as (
    select
        items.*,
        suppliers.name as supplier_name,
        suppliers.review_period_days,
        suppliers.order_minimum,
        coalesce(suppliers.currency_code, {{ reporting_currency() }}) as minimum_currency_code,
        coalesce(items.currency_code, suppliers.currency_code, {{ reporting_currency() }}) as money_currency_code
    from {{ ref('stg_shop__supplier_items') }} as items
    left join {{ ref('stg_shop__suppliers') }} as suppliers using (supplier_id)
    where
        coalesce(items.effective_from_date <= {{ as_of_date() }}, true)
        and coalesce(items.effective_to_date >= {{ as_of_date() }}, true)
)

select
    supplier_id,
    sku,
    supplier_name,
    lead_time_days,
    {{ minor_units('unit_cost', 'money_currency_code') }} as unit_cost_amount,
    money_currency_code as currency_code,
    min_order_qty,
    order_multiple,
    max_order_qty,
    priority,
    review_period_days,
    {# a minimum in another currency than the price says nothing about it #}
    case when minimum_currency_code = money_currency_code then {{ minor_units('order_minimum', 'money_currency_code') }} end
        as order_minimum_amount
from items
