{# Balances are sums of what changed: each invoice adds its amount on the day of issue, each payment takes off what it was applied to. #}
with invoices as (
    select
        *,
        {# from this day on what is open is overdue #}
        greatest(due_date + 1, issued_date) as overdue_from_date
    from {{ ref('fct_invoices') }}
    where not is_cancelled and not is_test
),

applied as (
    select
        invoices.channel_id,
        invoices.ship_to_country,
        invoices.due_date,
        invoices.overdue_from_date,
        {# money that came before its invoice waits for it #}
        greatest(payments.paid_date, invoices.issued_date) as applied_date,
        payments.applied_reporting_amount
    from {{ ref('int_payments_applied') }} as payments
    inner join invoices using (invoice_id)
),

events as (
    select
        channel_id,
        ship_to_country,
        issued_date as event_date,
        invoiced_reporting_amount as receivable,
        0 as overdue,
        invoiced_reporting_amount as invoiced,
        case when invoiced_reporting_amount is null then 1 else 0 end as unvalued
    from invoices
    union all
    select
        channel_id,
        ship_to_country,
        applied_date,
        -applied_reporting_amount,
        0,
        0,
        0
    from applied
    union all
    select
        channel_id,
        ship_to_country,
        overdue_from_date,
        0,
        invoiced_reporting_amount,
        0,
        0
    from invoices
    where due_date is not null
    union all
    select
        channel_id,
        ship_to_country,
        greatest(applied_date, overdue_from_date),
        0,
        -applied_reporting_amount,
        0,
        0
    from applied
    where due_date is not null
    union all
    {# the day after it was settled an invoice without a rate no longer spoils the balance #}
    select
        channel_id,
        ship_to_country,
        settled_date + 1,
        0,
        0,
        0,
        -1
    from invoices
    where invoiced_reporting_amount is null and settled_date is not null
),

changes as (
    select
        channel_id,
        ship_to_country,
        event_date,
        sum(coalesce(receivable, 0)) as receivable,
        sum(coalesce(overdue, 0)) as overdue,
        sum(coalesce(invoiced, 0)) as invoiced,
        sum(unvalued) as unvalued
    from events
    where event_date <= {{ as_of_date() }}
    group by channel_id, ship_to_country, event_date
),

balances as (
    select
        channel_id,
        ship_to_country,
        event_date,
        coalesce(lead(event_date) over series, {{ as_of_date() }} + 1) as until_date,
        cast(sum(receivable) over series as bigint) as receivable_reporting_amount,
        cast(sum(overdue) over series as bigint) as overdue_reporting_amount,
        cast(invoiced as bigint) as invoiced_reporting_amount,
        cast(sum(unvalued) over series as bigint) as unvalued_invoices_count
    from changes
    window series as (partition by channel_id, ship_to_country order by event_date)
),

daily as (
    select
        *,
        event_date + unnest(range(until_date - event_date))::integer as receivable_date
    from balances
)

select
    receivable_date,
    channel_id,
    ship_to_country,
    receivable_reporting_amount,
    overdue_reporting_amount,
    case when receivable_date = event_date then invoiced_reporting_amount else 0 end as invoiced_reporting_amount,
    {{ reporting_currency() }} as currency_code,
    unvalued_invoices_count
from daily
where receivable_date > {{ as_of_date() }} - {{ stock_history_days() }}
