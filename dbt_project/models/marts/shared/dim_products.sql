with products as (
    select
        *,
        coalesce(currency_code, {{ reporting_currency() }}) as money_currency_code,
        {{ local_date('launched_at') }} as launched_date,
        {{ local_date('discontinued_at') }} as discontinued_date
    from {{ ref('stg_shop__products') }}
),

{# whom the merchant names first; prices of several currencies are compared in one #}
ranked_suppliers as (
    select
        items.sku,
        items.supplier_id,
        row_number() over (
            partition by items.sku
            order by
                items.priority nulls last,
                {{ reporting_amount('items.unit_cost_amount', 'items.currency_code', 'rates.reporting_rate') }} nulls last,
                items.supplier_id
        ) as supplier_rank
    from {{ ref('dim_supplier_items') }} as items
    left join {{ ref('int_exchange_rates') }} as rates on items.currency_code = rates.currency_code and rates.rate_date = {{ as_of_date() }}
)

select
    products.sku,
    products.title,
    products.category,
    suppliers.supplier_id,
    products.status,
    {{ minor_units('products.unit_cost', 'products.money_currency_code') }} as unit_cost_amount,
    {{ minor_units('products.list_price', 'products.money_currency_code') }} as list_price_amount,
    products.money_currency_code as currency_code,
    products.launched_date,
    products.discontinued_date,
    products.shelf_life_days,
    coalesce(products.launched_date <= {{ as_of_date() }}, true)
    and coalesce(products.discontinued_date > {{ as_of_date() }}, true)
    and lower(coalesce(products.status, 'active')) not in ('archived', 'discontinued', 'draft', 'inactive')
        as is_active
from products
left join ranked_suppliers as suppliers on products.sku = suppliers.sku and suppliers.supplier_rank = 1
