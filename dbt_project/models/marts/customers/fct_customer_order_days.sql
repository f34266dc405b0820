{# An order without a line was no purchase; orders of one day are one visit. #}
with order_lines as (
    select
        orders.customer_key,
        orders.ordered_date as purchase_date,
        orders.order_id,
        orders.ordered_at,
        orders.channel_id,
        {{ reporting_amount('order_lines.net_amount', 'orders.currency_code', 'rates.reporting_rate') }} as net_reporting_amount
    from {{ ref('int_orders_promised') }} as orders
    inner join {{ ref('int_order_lines_fulfilled') }} as order_lines using (order_id)
    left join {{ ref('int_exchange_rates') }} as rates
        on orders.currency_code = rates.currency_code and orders.ordered_date = rates.rate_date
    where orders.customer_key is not null and not orders.is_cancelled and not orders.is_test
)

select
    customer_key,
    purchase_date,
    count(distinct order_id) as order_count,
    arg_min(channel_id, (ordered_at, order_id)) as first_channel_id,
    {# a day with one amount unknown is unknown: a part is not the whole #}
    case when count(*) = count(net_reporting_amount) then cast(sum(net_reporting_amount) as bigint) end as net_reporting_amount
from order_lines
group by customer_key, purchase_date
