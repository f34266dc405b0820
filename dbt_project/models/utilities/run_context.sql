select
    run_id,
    as_of_date,
    reporting_time_zone,
    currency_code
from {{ source('meta', 'run_context') }}
