with units as (
    select
        experiment_id,
        unit_id,
        case when min(variant) = max(variant) then min(variant) end as variant,
        min(assigned_at) as assigned_at,
        min(variant) < max(variant) as has_several_variants
    from {{ ref('stg_shop__experiments') }}
    group by experiment_id, unit_id
)

select
    units.experiment_id,
    units.unit_id,
    case when orders.order_id is not null then 'order' when customers.customer_key is not null then 'customer' end as unit_kind,
    units.variant,
    units.assigned_at,
    units.has_several_variants,
    coalesce(orders.is_test, false) as is_test
from units
left join {{ ref('int_orders_promised') }} as orders on units.unit_id = orders.order_id
left join {{ ref('dim_customers') }} as customers on units.unit_id = customers.customer_key
