with bands (age_band, band_order) as (
    values ('not due', 1), ('1-30 days', 2), ('31-60 days', 3), ('61-90 days', 4), ('91 days and more', 5), ('no due date', 6)
)

select
    bands.band_order,
    bands.age_band,
    count(invoices.invoice_id) as invoices_count,
    coalesce(cast(sum(invoices.outstanding_reporting_amount) as bigint), 0) as outstanding_reporting_amount,
    sum(invoices.outstanding_reporting_amount) / nullif(sum(sum(invoices.outstanding_reporting_amount)) over (), 0) as outstanding_rate,
    min(invoices.due_date) as oldest_due_date,
    count(invoices.invoice_id) - count(invoices.outstanding_reporting_amount) as unvalued_invoices_count
from bands
left join {{ ref('fct_invoices') }} as invoices using (age_band)
where exists (select invoice_id from {{ ref('fct_invoices') }})
group by bands.age_band, bands.band_order
