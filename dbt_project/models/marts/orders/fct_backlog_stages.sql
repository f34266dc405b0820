select
    stage_number,
    stage,
    age_band,
    age_from_days,
    count(*) as open_orders_count,
    count(*) filter (where is_overdue) as overdue_orders_count,
    max(age_days) as oldest_age_days,
    avg(age_days) as age_mean_days,
    case when count(*) = count(net_reporting_amount) then cast(sum(net_reporting_amount) as bigint) end as open_reporting_amount,
    count(*) filter (where net_reporting_amount is null) as unpriced_orders_count
from {{ ref('fct_open_orders') }}
group by all
