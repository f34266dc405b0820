select
    supplier_id,
    sku,
    available_qty,
    {{ local_date('stock_at') }} as stock_date
from {{ ref('stg_shop__supplier_stock') }}
