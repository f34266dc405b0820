with contracts as (
    select
        customer_key,
        {{ local_date('started_at') }} as started_date,
        {{ local_date('cancelled_at') }} as cancelled_date,
        started_at,
        cancelled_at
    from {{ ref('stg_shop__subscriptions') }}
),

{# blocks of 28 days counted back from the as-of date: the default period, the one before and the same of last year are one block each #}
spans as (
    select
        *,
        ({{ as_of_date() }} - least(coalesce(cancelled_date, {{ as_of_date() }}), {{ as_of_date() }})) // 28 as newest_block,
        ({{ as_of_date() }} - started_date) // 28 as oldest_block
    from contracts
    where started_date <= {{ as_of_date() }}
),

blocks as (
    select
        *,
        {{ as_of_date() }} - 28 * cast(unnest(range(newest_block, oldest_block + 1)) as integer) as until_date
    from spans
)

select
    customer_key,
    started_at,
    cancelled_at,
    until_date,
    started_date < until_date - 27 as is_active_at_start,
    coalesce(cancelled_date <= until_date, false) as is_cancelled
from blocks
