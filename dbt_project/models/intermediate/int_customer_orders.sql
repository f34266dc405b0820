{{ config(**per_customer()) }}

select
    order_id,
    customer_key,
    ordered_date,
    channel_id,
    ship_to_country,
    row_number() over (partition by customer_key order by ordered_at, order_id) as order_number,
    lead(ordered_date) over (partition by customer_key order by ordered_at, order_id) as next_order_date
from {{ ref('int_orders_promised') }}
where
    customer_key is not null
    and {{ is_changed_customer('customer_key') }}
    and not is_cancelled
    and not is_test
    and ordered_date <= {{ as_of_date() }}
    {# an order without a line was no purchase #}
    and order_id in (select order_id from {{ ref('int_order_lines_fulfilled') }})
