select order_line_id, ordered_qty, shipped_qty, shipped_on_time_qty
from {{ ref('fct_order_lines') }}
where shipped_on_time_qty > shipped_qty or shipped_on_time_qty > ordered_qty
