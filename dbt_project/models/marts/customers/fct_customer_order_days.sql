{{ config(**per_customer()) }}

{# Orders of one day are one visit. #}
select
    customer_orders.customer_key,
    customer_orders.ordered_date as purchase_date,
    {# a day with one amount unknown is unknown: a part is not the whole #}
    case when count(*) = count(orders.net_reporting_amount) then cast(sum(orders.net_reporting_amount) as bigint) end as net_reporting_amount
from {{ ref('int_customer_orders') }} as customer_orders
inner join {{ ref('fct_orders') }} as orders using (order_id)
where {{ is_changed_customer('customer_orders.customer_key') }}
group by customer_orders.customer_key, customer_orders.ordered_date
