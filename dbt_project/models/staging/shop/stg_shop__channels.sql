select
    channel_id,
    name,
    priority
from {{ source('shop', 'channels') }}
where not coalesce(is_deleted, false)
