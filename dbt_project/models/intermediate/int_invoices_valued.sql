{{ config(**per_order()) }}

with orders as (
    select *
    from {{ ref('int_orders_promised') }}
    where {{ is_changed('order_id') }}
),

invoices as (
    select
        invoices.invoice_id,
        invoices.order_id,
        orders.customer_key,
        orders.channel_id,
        orders.location_id,
        orders.ship_to_country,
        orders.ship_to_region,
        orders.ordered_at,
        orders.is_cancelled,
        orders.is_test,
        invoices.issued_at,
        {{ local_date('invoices.issued_at') }} as issued_date,
        {{ local_date('invoices.due_at') }} as due_date,
        {{ minor_units('invoices.amount', 'orders.currency_code') }} as invoiced_amount,
        orders.currency_code
    from {{ ref('stg_shop__invoices') }} as invoices
    inner join orders using (order_id)
    where {{ is_changed('invoices.order_id') }}
)

select
    invoices.*,
    rates.reporting_rate,
    {{ reporting_amount('invoices.invoiced_amount', 'invoices.currency_code', 'rates.reporting_rate') }} as invoiced_reporting_amount
from invoices
left join {{ ref('int_exchange_rates') }} as rates on invoices.currency_code = rates.currency_code and invoices.issued_date = rates.rate_date
where invoices.issued_date <= {{ as_of_date() }}
