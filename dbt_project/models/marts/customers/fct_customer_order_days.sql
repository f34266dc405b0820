{{ config(**per_customer()) }}

with customer_orders as (
    select *
    from {{ ref('int_customer_orders') }}
    where {{ is_changed_customer('customer_key') }}
),

sold as (
    select
        order_id,
        case when count(*) = count(net_reporting_amount) then cast(sum(net_reporting_amount) as bigint) end as net_reporting_amount
    from {{ ref('fct_sales_events') }}
    where event_type = 'sale' and order_id in (select order_id from customer_orders)
    group by order_id
),

{# an order of which every unit was given up is a visit that came to nothing #}
visits as (
    select
        customer_orders.customer_key,
        customer_orders.ordered_date,
        case when sold.order_id is null then 0 else sold.net_reporting_amount end as net_reporting_amount
    from customer_orders
    left join sold using (order_id)
)

{# Orders of one day are one visit. #}
select
    customer_key,
    ordered_date as purchase_date,
    {# a day with one amount unknown is unknown: a part is not the whole #}
    case when count(*) = count(net_reporting_amount) then cast(sum(net_reporting_amount) as bigint) end as net_reporting_amount
from visits
group by customer_key, ordered_date
