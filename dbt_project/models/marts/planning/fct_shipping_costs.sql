{# shipments name no currency; what a merchant pays carriers is in the reporting currency #}
select
    location_id,
    count(*) as shipments_count,
    {{ minor_units('avg(shipping_cost)', reporting_currency()) }} as mean_shipment_amount,
    {{ reporting_currency() }} as currency_code
from {{ ref('stg_shop__shipments') }}
where
    shipping_cost >= 0
    and location_id is not null
    and {{ local_date('shipped_at') }} between {{ as_of_date() }} - 364 and {{ as_of_date() }}
group by location_id
