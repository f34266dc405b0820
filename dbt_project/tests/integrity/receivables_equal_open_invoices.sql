{# By another path: the balance that daily changes add up to is what the invoices still ask for, in all and of it overdue. #}
with invoices as (
    select
        coalesce(sum(outstanding_reporting_amount), 0) as outstanding,
        coalesce(sum(outstanding_reporting_amount) filter (where is_overdue), 0) as overdue
    from {{ ref('fct_invoices') }}
),

balances as (
    select
        coalesce(sum(receivable_reporting_amount), 0) as outstanding,
        coalesce(sum(overdue_reporting_amount), 0) as overdue
    from {{ ref('fct_receivables_daily') }}
    where receivable_date = {{ as_of_date() }}
)

select *
from invoices
cross join balances
where invoices.outstanding <> balances.outstanding or invoices.overdue <> balances.overdue
