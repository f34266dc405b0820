select
    channel_id,
    name
from {{ ref('stg_shop__channels') }}
