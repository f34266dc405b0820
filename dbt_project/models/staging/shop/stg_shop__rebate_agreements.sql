select
    partner_id,
    lower(basis) as basis,
    tier_from,
    rate as rebate_rate,
    valid_from as valid_from_date,
    valid_to as valid_to_date
from {{ source('shop', 'rebate_agreements') }}
where not coalesce(is_deleted, false)
