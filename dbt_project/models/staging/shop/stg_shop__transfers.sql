select
    transfer_id,
    from_location_id,
    to_location_id,
    lower(status) as status,
    shipped_at,
    expected_at,
    received_at
from {{ source('shop', 'transfers') }}
where not coalesce(is_deleted, false)
