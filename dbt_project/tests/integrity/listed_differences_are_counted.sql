{# Every difference that is listed is counted, and where fewer than the limit are counted all of them are listed. #}
with listed as (
    select
        rule,
        checked_date,
        count(*) as listed_count
    from {{ ref('fct_reconciliation') }}
    group by rule, checked_date
)

select
    checks.rule,
    checks.checked_date,
    checks.differing_count,
    listed.listed_count
from {{ ref('fct_reconciliation_checks') }} as checks
left join listed using (rule, checked_date)
where coalesce(listed.listed_count, 0) <> least(checks.differing_count, 100)
