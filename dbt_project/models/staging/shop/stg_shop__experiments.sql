select
    experiment_id,
    unit_id,
    variant,
    assigned_at
from {{ source('shop', 'experiments') }}
where not coalesce(is_deleted, false)
