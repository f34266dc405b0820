select
    rec_id,
    line_id,
    kind,
    sku,
    location_id,
    qty,
    expected_date,
    target,
    is_released
from {{ source('meta', 'draft_lines') }}
