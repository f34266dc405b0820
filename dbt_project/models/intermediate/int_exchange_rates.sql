{# A rate holds for the weekend and a holiday after it, not for ever: past that there is none, and money in that currency is blocked. #}
{% set carried_days = 7 %}

with quoted as (
    select
        from_currency_code as currency_code,
        rate_date,
        rate as reporting_rate,
        1 as preference
    from {{ ref('stg_shop__fx_rates') }}
    where to_currency_code = {{ reporting_currency() }} and rate > 0
    union all
    select
        to_currency_code as currency_code,
        rate_date,
        1 / rate as reporting_rate,
        2 as preference
    from {{ ref('stg_shop__fx_rates') }}
    where from_currency_code = {{ reporting_currency() }} and rate > 0
),

chosen as (
    select
        currency_code,
        rate_date as quoted_date,
        arg_min(reporting_rate, preference) as reporting_rate
    from quoted
    group by currency_code, rate_date
),

lasting as (
    select
        *,
        least(
            coalesce(lead(quoted_date) over (partition by currency_code order by quoted_date), quoted_date + {{ carried_days + 1 }}) - quoted_date,
            {{ carried_days + 1 }}
        ) as days
    from chosen
)

select
    currency_code,
    quoted_date + unnest(range(days))::integer as rate_date,
    quoted_date,
    reporting_rate
from lasting
