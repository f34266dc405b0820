with contracts as (
    select
        {{ local_date('started_at') }} as started_date,
        case when {{ local_date('cancelled_at') }} <= {{ as_of_date() }} then {{ local_date('cancelled_at') }} end as cancelled_date
    from {{ ref('stg_shop__subscriptions') }}
    where {{ local_date('started_at') }} <= {{ as_of_date() }}
),

months as (
    select cast(unnest(generate_series(
        date_trunc('month', (select min(started_date) from contracts)), cast({{ as_of_date() }} as timestamp), interval 1 month
    )) as date) as contract_month
)

select
    months.contract_month,
    cast(months.contract_month + interval 1 month as date) - 1 as until_date,
    count(*) filter (where contracts.started_date < months.contract_month) as active_at_start_count,
    count(*) filter (where contracts.started_date >= months.contract_month) as new_count,
    count(*) filter (where contracts.started_date < months.contract_month and contracts.cancelled_date < months.contract_month + interval 1 month)
        as cancelled_count,
    count(*) filter (where contracts.started_date >= months.contract_month and contracts.cancelled_date < months.contract_month + interval 1 month)
        as new_and_cancelled_count,
    cast(months.contract_month + interval 1 month as date) <= {{ as_of_date() }} + 1 as is_complete
from months
left join contracts
    on contracts.started_date < months.contract_month + interval 1 month
    and coalesce(contracts.cancelled_date >= months.contract_month, true)
group by months.contract_month
