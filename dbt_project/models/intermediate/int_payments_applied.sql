{{ config(**per_order()) }}

with invoices as (
    select *
    from {{ ref('int_invoices_valued') }}
    where {{ is_changed('order_id') }}
),

payments as (
    select
        payments.payment_id,
        payments.invoice_id,
        invoices.order_id,
        payments.paid_at,
        {{ local_date('payments.paid_at') }} as paid_date,
        {{ minor_units('payments.amount', 'invoices.currency_code') }} as paid_amount,
        invoices.invoiced_amount,
        invoices.currency_code,
        invoices.reporting_rate
    from {{ ref('stg_shop__payments') }} as payments
    inner join invoices using (invoice_id)
),

running as (
    select
        *,
        sum(paid_amount) over (partition by invoice_id order by paid_at, payment_id rows unbounded preceding) as paid_through_amount
    from payments
    where paid_date <= {{ as_of_date() }}
),

{# an invoice takes what it asks for and no more; a credit note is negative and is paid out #}
applied as (
    select
        *,
        case
            when invoiced_amount >= 0 then least(paid_through_amount, invoiced_amount)
            else greatest(paid_through_amount, invoiced_amount)
        end as applied_through_amount
    from running
),

valued as (
    select
        *,
        {{ reporting_amount('applied_through_amount', 'currency_code', 'reporting_rate') }} as applied_through_reporting_amount
    from applied
)

{# the rate is the invoice's, and amounts are differences of rounded totals: a paid invoice leaves exactly nothing #}
select
    payment_id,
    invoice_id,
    order_id,
    paid_at,
    paid_date,
    paid_amount,
    cast(paid_through_amount as bigint) as paid_through_amount,
    cast(
        applied_through_reporting_amount - coalesce(lag(applied_through_reporting_amount) over (partition by invoice_id order by paid_at, payment_id), 0)
        as bigint
    ) as applied_reporting_amount
from valued
