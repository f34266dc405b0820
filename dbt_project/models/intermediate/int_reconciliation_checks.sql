{# what agrees is only counted; of what does not, the largest are kept for each rule and day, so a broken feed cannot flood the marts #}
{% set listed = 100 %}
{% set money_tolerance = 1 %}

with line_totals as (
    select
        order_id,
        sum(gross_amount) as gross_amount,
        sum(gross_amount - net_amount) as discount_amount,
        bool_and(shipped_qty >= ordered_qty) filter (where not is_gift_card) as is_shipped_complete
    from {{ ref('int_order_lines_fulfilled') }}
    group by order_id
),

orders as (
    select
        orders.order_id,
        promised.ordered_date,
        promised.is_cancelled,
        promised.is_test,
        promised.currency_code,
        orders.total_amount,
        coalesce(lines.gross_amount, 0) - coalesce(orders.total_discount_amount, lines.discount_amount, 0) + coalesce(orders.total_shipping_amount, 0)
            as expected_amount,
        coalesce(orders.total_tax_amount, 0) as tax_amount,
        coalesce(lines.is_shipped_complete, false) as is_shipped_complete
    from {{ ref('stg_shop__orders') }} as orders
    inner join {{ ref('int_orders_promised') }} as promised using (order_id)
    left join line_totals as lines using (order_id)
),

{# prices hold tax in one shop and not in the next: an order agrees with its lines if it does on either reading #}
order_pairs as (
    select
        'order_total_vs_lines' as rule,
        ordered_date as checked_date,
        order_id as document_id,
        total_amount as value_a,
        case
            when abs(total_amount - expected_amount - tax_amount) < abs(total_amount - expected_amount) then expected_amount + tax_amount
            else expected_amount
        end as value_b,
        currency_code
    from orders
    where total_amount is not null and not is_test
),

moved as (
    select
        lower(reference_type) as reference_type,
        reference_id,
        sum(movement_qty) as moved_qty,
        min(occurred_at) as moved_at
    from {{ ref('stg_shop__stock_movements') }}
    where reference_id is not null and lower(reference_type) in ('shipment', 'purchase_order', 'return')
    group by all
),

{# what happened before stock movements were recorded has none #}
history as (
    select
        {{ local_date('min(occurred_at)') }} as first_date,
        bool_or(movement_type in ('opening', 'opening_balance', 'initial')) as has_opening
    from {{ ref('stg_shop__stock_movements') }}
),

documents as (
    select
        'shipment' as reference_type,
        shipment_lines.shipment_id as reference_id,
        {{ local_date('any_value(coalesce(shipments.shipped_at, shipments.delivered_at))') }} as document_date,
        -sum(shipment_lines.shipped_qty) as document_qty
    from {{ ref('stg_shop__shipment_lines') }} as shipment_lines
    inner join {{ ref('stg_shop__shipments') }} as shipments using (shipment_id)
    inner join {{ ref('int_order_lines_fulfilled') }} as lines on shipment_lines.order_line_id = lines.order_line_id
    where
        coalesce(shipments.shipped_at, shipments.delivered_at) is not null
        and not {{ is_called_off_parcel('shipments.status') }}
        and lines.is_from_stock
    group by shipment_lines.shipment_id
    union all
    select
        'purchase_order',
        lines.po_id,
        {{ local_date('any_value(coalesce(orders.created_at, orders.confirmed_at, orders.received_at))') }},
        sum(lines.received_qty)
    from {{ ref('stg_shop__purchase_order_lines') }} as lines
    inner join {{ ref('stg_shop__purchase_orders') }} as orders using (po_id)
    where lines.received_qty > 0
    group by lines.po_id
    union all
    {# a damaged unit taken in is stock too, though none to sell: it moves what is on hand, whatever its condition #}
    select
        'return',
        lines.return_id,
        {{ local_date('any_value(returns.received_at)') }},
        sum(lines.returned_qty)
    from {{ ref('stg_shop__return_lines') }} as lines
    inner join {{ ref('stg_shop__returns') }} as returns using (return_id)
    where returns.received_at is not null and {{ is_taken_into_stock('lines.restock_type') }}
    group by lines.return_id
),

movement_pairs as (
    select
        case coalesce(documents.reference_type, moved.reference_type)
            when 'shipment' then 'shipped_units_vs_movements'
            when 'purchase_order' then 'received_units_vs_movements'
            else 'returned_units_vs_movements'
        end as rule,
        coalesce({{ local_date('moved.moved_at') }}, documents.document_date) as checked_date,
        coalesce(documents.reference_id, moved.reference_id) as document_id,
        documents.document_qty as value_a,
        moved.moved_qty as value_b,
        cast(null as varchar) as currency_code
    from documents
    full join moved on documents.reference_type = moved.reference_type and documents.reference_id = moved.reference_id
    cross join history
    where
        coalesce(documents.reference_type, moved.reference_type) in (select reference_type from moved)
        and (moved.reference_id is not null or documents.document_date >= history.first_date)
),

stock_moved as (
    select
        sku,
        location_id,
        sum(movement_qty) as moved_qty
    from {{ ref('stg_shop__stock_movements') }}
    group by sku, location_id
),

{# stock is the sum of its movements only where they begin with what lay there on the first day #}
stock_pairs as (
    select
        'stock_level_vs_movements' as rule,
        {{ as_of_date() }} as checked_date,
        {{ stock_document_id('levels') }} as document_id,
        levels.on_hand_qty as value_a,
        coalesce(moved.moved_qty, 0) as value_b,
        cast(null as varchar) as currency_code
    from {{ ref('stg_shop__stock_levels') }} as levels
    left join stock_moved as moved on levels.sku = moved.sku and levels.location_id = moved.location_id
    where (select has_opening from history)
),

{# an order may be invoiced in parts until it has left; more than its total never #}
invoice_pairs as (
    select
        'invoices_vs_order_total' as rule,
        max(invoices.issued_date) as checked_date,
        invoices.order_id as document_id,
        sum(invoices.invoiced_amount) as value_a,
        any_value(orders.total_amount) as value_b,
        any_value(orders.currency_code) as currency_code
    from {{ ref('int_invoices_valued') }} as invoices
    inner join orders using (order_id)
    where orders.total_amount is not null and not orders.is_cancelled and not orders.is_test
    group by invoices.order_id
    having any_value(orders.is_shipped_complete) or sum(invoices.invoiced_amount) > any_value(orders.total_amount)
),

payments as (
    select
        payments.invoice_id,
        any_value(invoices.order_id) as order_id,
        coalesce(any_value(orders.currency_code), {{ reporting_currency() }}) as currency_code,
        max({{ local_date('payments.paid_at') }}) as paid_date,
        sum({{ minor_units('payments.amount', 'orders.currency_code') }}) as paid_amount,
        any_value({{ minor_units('invoices.amount', 'orders.currency_code') }}) as invoiced_amount
    from {{ ref('stg_shop__payments') }} as payments
    left join {{ ref('stg_shop__invoices') }} as invoices using (invoice_id)
    left join {{ ref('int_orders_promised') }} as orders on invoices.order_id = orders.order_id
    where {{ local_date('payments.paid_at') }} <= {{ as_of_date() }}
    group by payments.invoice_id
),

{# paying less is an open invoice, not a difference #}
payment_pairs as (
    select
        'payments_vs_invoice' as rule,
        paid_date as checked_date,
        invoice_id as document_id,
        paid_amount as value_a,
        case when paid_amount < invoiced_amount then paid_amount else invoiced_amount end as value_b,
        currency_code
    from payments
),

paid_by_order as (
    select
        order_id,
        sum(paid_amount) as paid_amount
    from payments
    where order_id is not null
    group by order_id
),

refunded as (
    select
        refunds.order_id,
        orders.currency_code,
        orders.total_amount,
        max({{ local_date('refunds.refunded_at') }}) as refunded_date,
        sum(refunds.refund_amount) as refund_amount
    from {{ ref('int_return_lines_refunded') }} as refunds
    inner join orders on refunds.order_id = orders.order_id and refunds.currency_code = orders.currency_code
    where {{ local_date('refunds.refunded_at') }} <= {{ as_of_date() }} and not orders.is_test
    group by all
),

{# what is not paid yet may be credited: more than the order came to, or than was paid for it, may not #}
refund_limits as (
    select
        refunded.*,
        greatest(coalesce(paid.paid_amount, 0), refunded.total_amount) as limit_amount
    from refunded
    left join paid_by_order as paid using (order_id)
),

refund_pairs as (
    select
        'refunds_vs_paid' as rule,
        refunded_date as checked_date,
        order_id as document_id,
        refund_amount as value_a,
        least(refund_amount, limit_amount) as value_b,
        currency_code
    from refund_limits
    where limit_amount is not null and refund_amount is not null
),

pairs as (
    select * from order_pairs
    union all
    select * from movement_pairs
    union all
    select * from stock_pairs
    union all
    select * from invoice_pairs
    union all
    select * from payment_pairs
    union all
    select * from refund_pairs
),

judged as (
    select
        *,
        coalesce(abs(value_a - value_b) > case when currency_code is null then 0 else {{ money_tolerance }} end, true) as is_different
    from pairs
    where checked_date <= {{ as_of_date() }}
)

select
    rule,
    checked_date,
    count(*) as compared_count,
    count(*) filter (where is_different) as differing_count,
    max(
        {
            'size': coalesce(abs(value_a - value_b), abs(coalesce(value_a, value_b))),
            'document_id': document_id,
            'value_a': value_a,
            'value_b': value_b,
            'currency_code': currency_code
        },
        {{ listed }}
    ) filter (where is_different) as differences
from judged
group by rule, checked_date
