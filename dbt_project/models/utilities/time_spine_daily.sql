{# The calendar the semantic layer joins metrics to: ten years up to the as-of date. #}
select cast(spine.day_at as date) as date_day
from {{ ref('run_context') }} as context
cross join unnest(generate_series(context.as_of_date - interval 10 year, cast(context.as_of_date as timestamp), interval 1 day)) as spine (day_at)
