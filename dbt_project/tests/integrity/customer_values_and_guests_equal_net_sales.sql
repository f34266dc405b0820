{# By another path: what customers are worth so far, with what guests bought, is all net sales up to the as-of date, and cohorts hold the same.
   An amount without an exchange rate leaves its customer's value unknown, and then the whole cannot be compared. #}
with totals as (
    select
        (select sum(net_reporting_amount) from {{ ref('fct_sales_events') }} where event_date <= {{ as_of_date() }}) as net_sales,
        (select sum(net_reporting_amount) from {{ ref('dim_customers') }}) as by_customer,
        (select sum(net_reporting_amount) from {{ ref('fct_cohorts_monthly') }}) as by_cohort,
        (
            select sum(net_reporting_amount)
            from {{ ref('fct_sales_events') }}
            where customer_key is null and event_date <= {{ as_of_date() }}
        ) as by_guests,
        (select sum(net_reporting_amount) from {{ ref('dim_customers') }} where cohort_month is null) as by_nobody
)

select *
from totals
where
    not exists (
        select 1 from {{ ref('fct_sales_events') }} where net_reporting_amount is null and net_amount is not null
    )
    and (
        coalesce(net_sales, 0) <> coalesce(by_customer, 0) + coalesce(by_guests, 0)
        or coalesce(by_customer, 0) <> coalesce(by_cohort, 0) + coalesce(by_nobody, 0)
    )
