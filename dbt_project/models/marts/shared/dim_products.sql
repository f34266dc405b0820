with products as (
    select
        *,
        coalesce(currency_code, {{ reporting_currency() }}) as money_currency_code,
        {{ local_date('launched_at') }} as launched_date,
        {{ local_date('discontinued_at') }} as discontinued_date
    from {{ ref('stg_shop__products') }}
)

select
    sku,
    title,
    category,
    status,
    {{ minor_units('unit_cost', 'money_currency_code') }} as unit_cost_amount,
    {{ minor_units('list_price', 'money_currency_code') }} as list_price_amount,
    money_currency_code as currency_code,
    launched_date,
    discontinued_date,
    coalesce(launched_date <= {{ as_of_date() }}, true)
    and coalesce(discontinued_date > {{ as_of_date() }}, true)
    and lower(coalesce(status, 'active')) not in ('archived', 'discontinued', 'draft', 'inactive')
        as is_active
from products
