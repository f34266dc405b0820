select
    context.run_id,
    context.as_of_date,
    context.reporting_time_zone,
    context.currency_code,
    states.as_of_date as previous_as_of_date
from {{ source('meta', 'run_context') }} as context
left join {{ source('meta', 'transform_state') }} as states on true
