select
    po_line_id,
    supplier_id,
    sku,
    location_id,
    received_date,
    lead_time_days
from {{ ref('fct_purchase_receipts') }}
where lead_time_days is not null
