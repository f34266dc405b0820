{# a document may be made of thousands of rows: these many are named, the latest movements among them #}
{% set named_rows = 20 %}

with rules (rule, source_a, source_b) as (
    values
    ('order_total_vs_lines', 'orders', 'order_lines'),
    ('shipped_units_vs_movements', 'shipment_lines', 'stock_movements'),
    ('received_units_vs_movements', 'purchase_order_lines', 'stock_movements'),
    ('returned_units_vs_movements', 'return_lines', 'stock_movements'),
    ('stock_level_vs_movements', 'stock_levels', 'stock_movements'),
    ('invoices_vs_order_total', 'invoices', 'orders'),
    ('payments_vs_invoice', 'payments', 'invoices'),
    ('refunds_vs_paid', 'returns', 'payments')
),

unnested as (
    select
        rule,
        checked_date,
        unnest(differences) as found
    from {{ ref('int_reconciliation_checks') }}
    where differing_count > 0
),

found as (
    select
        unnested.rule,
        rules.source_a,
        rules.source_b,
        unnested.checked_date,
        unnested.found.document_id,
        unnested.found.value_a,
        unnested.found.value_b,
        unnested.found.currency_code
    from unnested
    inner join rules using (rule)
),

{# the rows behind a document, looked up for the few that differ #}
members as (
    select
        found.rule,
        found.document_id,
        rows.order_line_id as row_id,
        cast(null as timestamp) as moved_at
    from found
    inner join {{ ref('stg_shop__order_lines') }} as rows on found.document_id = rows.order_id
    where found.rule = 'order_total_vs_lines'
    union all
    select
        found.rule,
        found.document_id,
        rows.order_line_id,
        null
    from found
    inner join {{ ref('stg_shop__shipment_lines') }} as rows on found.document_id = rows.shipment_id
    where found.rule = 'shipped_units_vs_movements'
    union all
    select
        found.rule,
        found.document_id,
        rows.po_line_id,
        null
    from found
    inner join {{ ref('stg_shop__purchase_order_lines') }} as rows on found.document_id = rows.po_id
    where found.rule = 'received_units_vs_movements'
    union all
    select
        found.rule,
        found.document_id,
        rows.return_line_id,
        null
    from found
    inner join {{ ref('stg_shop__return_lines') }} as rows on found.document_id = rows.return_id
    where found.rule = 'returned_units_vs_movements'
    union all
    select
        found.rule,
        found.document_id,
        rows.movement_id,
        rows.occurred_at
    from found
    inner join {{ ref('stg_shop__stock_movements') }} as rows on found.document_id = rows.reference_id
    where
        lower(rows.reference_type) = case found.rule
            when 'shipped_units_vs_movements' then 'shipment'
            when 'received_units_vs_movements' then 'purchase_order'
            when 'returned_units_vs_movements' then 'return'
        end
    union all
    select
        found.rule,
        found.document_id,
        rows.movement_id,
        rows.occurred_at
    from found
    inner join {{ ref('stg_shop__stock_levels') }} as levels on found.document_id = {{ stock_document_id('levels') }}
    inner join {{ ref('stg_shop__stock_movements') }} as rows on levels.sku = rows.sku and levels.location_id = rows.location_id
    where found.rule = 'stock_level_vs_movements'
    union all
    select
        found.rule,
        found.document_id,
        rows.invoice_id,
        null
    from found
    inner join {{ ref('stg_shop__invoices') }} as rows on found.document_id = rows.order_id
    where found.rule = 'invoices_vs_order_total'
    union all
    select
        found.rule,
        found.document_id,
        rows.payment_id,
        null
    from found
    inner join {{ ref('stg_shop__payments') }} as rows on found.document_id = rows.invoice_id
    where found.rule = 'payments_vs_invoice'
    union all
    select distinct
        found.rule,
        found.document_id,
        rows.return_id,
        null
    from found
    inner join {{ ref('int_return_lines_refunded') }} as rows on found.document_id = rows.order_id
    where found.rule = 'refunds_vs_paid' and rows.refunded_at is not null
),

numbered as (
    select
        *,
        row_number() over (partition by rule, document_id order by moved_at desc nulls first, row_id) as row_number
    from members
),

listed as (
    select
        rule,
        document_id,
        string_agg(row_id, ', ' order by row_id) filter (where row_number <= {{ named_rows }}) as row_ids,
        count(*) as rows_count
    from numbered
    group by rule, document_id
)

select
    found.checked_date,
    found.rule,
    found.source_a,
    found.source_b,
    found.document_id,
    listed.row_ids,
    coalesce(listed.rows_count, 0) as rows_count,
    cast(case when found.currency_code is not null then found.value_a end as bigint) as source_a_amount,
    cast(case when found.currency_code is not null then found.value_b end as bigint) as source_b_amount,
    cast(case when found.currency_code is not null then coalesce(found.value_a, 0) - coalesce(found.value_b, 0) end as bigint) as difference_amount,
    found.currency_code,
    cast(case when found.currency_code is null then found.value_a end as bigint) as source_a_qty,
    cast(case when found.currency_code is null then found.value_b end as bigint) as source_b_qty,
    cast(case when found.currency_code is null then coalesce(found.value_a, 0) - coalesce(found.value_b, 0) end as bigint) as difference_qty
from found
left join listed using (rule, document_id)
