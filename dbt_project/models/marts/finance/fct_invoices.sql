{{ config(**per_order()) }}

with invoices as (
    select *
    from {{ ref('int_invoices_valued') }}
    where {{ is_changed('order_id') }}
),

paid as (
    select
        payments.invoice_id,
        cast(sum(payments.paid_amount) as bigint) as paid_amount,
        cast(sum(payments.applied_reporting_amount) as bigint) as applied_reporting_amount,
        min(payments.paid_at) filter (where payments.paid_through_amount >= invoices.invoiced_amount) as fully_paid_at
    from {{ ref('int_payments_applied') }} as payments
    inner join invoices using (invoice_id)
    where {{ is_changed('payments.order_id') }}
    group by payments.invoice_id
),

balanced as (
    select
        invoices.*,
        coalesce(paid.applied_reporting_amount, 0) as applied_reporting_amount,
        case
            {# there is no claim on an order that was cancelled or never real #}
            when invoices.is_cancelled or invoices.is_test then 0
            when invoices.invoiced_amount >= 0 then greatest(invoices.invoiced_amount - coalesce(paid.paid_amount, 0), 0)
            else least(invoices.invoiced_amount - coalesce(paid.paid_amount, 0), 0)
        end as outstanding_amount,
        {# what was charged back is not paid, whatever it once was #}
        case when invoices.invoiced_amount > 0 and paid.paid_amount >= invoices.invoiced_amount then paid.fully_paid_at end as fully_paid_at
    from invoices
    left join paid using (invoice_id)
)

select
    invoice_id,
    order_id,
    customer_key,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    issued_date,
    due_date,
    invoiced_amount,
    invoiced_reporting_amount,
    outstanding_amount,
    case when outstanding_amount = 0 then 0 else invoiced_reporting_amount - applied_reporting_amount end as outstanding_reporting_amount,
    currency_code,
    greatest({{ local_date('fully_paid_at') }}, case when fully_paid_at is not null then issued_date end) as settled_date,
    {{ stage_days('issued_at', ['ordered_at']) }} as order_to_invoice_days,
    {{ days_between('issued_at', 'case when fully_paid_at is not null then greatest(fully_paid_at, issued_at) end') }} as invoice_to_cash_days,
    {{ days_between('ordered_at', 'case when fully_paid_at is not null then greatest(fully_paid_at, ordered_at) end') }} as order_to_cash_days,
    coalesce(fully_paid_at < issued_at, false) as is_paid_before_issue,
    is_cancelled,
    is_test,
    outstanding_amount <> 0 and coalesce(due_date < {{ as_of_date() }}, false) as is_overdue,
    case
        when outstanding_amount = 0 then null
        when due_date is null then 'no due date'
        when due_date >= {{ as_of_date() }} then 'not due'
        when {{ as_of_date() }} - due_date <= 30 then '1-30 days'
        when {{ as_of_date() }} - due_date <= 60 then '31-60 days'
        when {{ as_of_date() }} - due_date <= 90 then '61-90 days'
        else '91 days and more'
    end as age_band
from balanced
