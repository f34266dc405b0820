{# By another path: no unit is lost or doubled on the way from staging, and what counts in a rate is what each shipped line got back. #}
with counted as (
    select
        (select coalesce(sum(returned_qty), 0) from {{ ref('stg_shop__return_lines') }}) as staged_qty,
        (select coalesce(sum(returned_qty), 0) from {{ ref('fct_return_lines') }}) as by_return_line,
        (select coalesce(sum(returned_qty), 0) from {{ ref('fct_order_lines') }} where shipped_date is not null) as by_order_line,
        (select coalesce(sum(shipped_qty), 0) from {{ ref('fct_order_lines') }} where shipped_date is not null) as shipped_by_order_line,
        (select coalesce(sum(returned_qty), 0) from {{ ref('fct_ship_cohort_events') }}) as by_cohort,
        (select coalesce(sum(shipped_qty), 0) from {{ ref('fct_ship_cohort_events') }}) as shipped_by_cohort
)

select *
from counted
where staged_qty <> by_return_line or by_order_line <> by_cohort or shipped_by_order_line <> shipped_by_cohort
