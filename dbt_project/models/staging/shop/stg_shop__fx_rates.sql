select
    rate_date,
    from_currency as from_currency_code,
    to_currency as to_currency_code,
    rate
from {{ source('shop', 'fx_rates') }}
where not coalesce(is_deleted, false)
