with stocked as (
    select
        sku,
        location_id,
        min(stock_date) as first_stock_date
    from {{ ref('fct_stock_daily') }}
    group by sku, location_id
),

standing as (
    select
        daily.sku,
        daily.location_id,
        daily.stock_date,
        daily.on_hand_qty,
        daily.has_unit_cost,
        daily.stock_value_reporting_amount,
        stocked.first_stock_date,
        coalesce(products.launched_date, stocked.first_stock_date) > daily.stock_date - {{ new_item_days() }} as is_new_item
    from {{ ref('fct_stock_daily') }} as daily
    inner join stocked using (sku, location_id)
    left join {{ ref('dim_products') }} as products using (sku)
    where daily.stock_date = {{ as_of_date() }}
),

sold as (
    select
        sku,
        location_id,
        max(sales_date) as last_sale_date,
        sum(case when sales_date > {{ as_of_date() }} - 28 then shipped_qty else 0 end) as sold_28_qty,
        sum(case when sales_date > {{ as_of_date() }} - 91 then shipped_qty else 0 end) as sold_91_qty
    from {{ ref('int_stock_sales_daily') }}
    where shipped_qty > 0 and sales_date <= {{ as_of_date() }}
    group by sku, location_id
),

aged as (
    select
        sku,
        location_id,
        cast(sum(qty) as bigint) as aged_qty,
        cast(sum(stock_value_reporting_amount) as bigint) as aged_value_reporting_amount
    from {{ ref('fct_stock_age') }}
    where is_aged
    group by sku, location_id
),

paced as (
    select
        standing.*,
        sold.last_sale_date,
        {# an item that came to the shelf ten days ago sold what it sold in ten days #}
        coalesce(sold.sold_28_qty, 0) / least(28.0, standing.stock_date - standing.first_stock_date + 1) as daily_sales_28_qty,
        coalesce(sold.sold_91_qty, 0) / least(91.0, standing.stock_date - standing.first_stock_date + 1) as daily_sales_91_qty,
        coalesce(aged.aged_qty, 0) as aged_qty,
        case when standing.has_unit_cost then coalesce(aged.aged_value_reporting_amount, 0) end as aged_value_reporting_amount
    from standing
    left join sold using (sku, location_id)
    left join aged using (sku, location_id)
),

judged as (
    select
        *,
        case
            when not is_new_item
                then cast(greatest(on_hand_qty - ceil(daily_sales_91_qty * {{ excess_cover_days() }}), 0) as bigint)
        end as excess_qty,
        {# a shelf that is known for less than that long may have sold before #}
        on_hand_qty > 0 and not is_new_item and stock_date - coalesce(greatest(last_sale_date, first_stock_date), first_stock_date) >= {{ dead_after_days() }} as is_dead
    from paced
)

select
    sku,
    location_id,
    stock_date,
    is_new_item,
    has_unit_cost,
    on_hand_qty,
    stock_value_reporting_amount,
    stock_date - last_sale_date as days_since_last_sale,
    daily_sales_28_qty,
    daily_sales_91_qty,
    greatest(on_hand_qty, 0) / nullif(daily_sales_91_qty, 0) as days_of_supply,
    aged_qty,
    aged_value_reporting_amount,
    excess_qty,
    case
        when excess_qty = 0 and has_unit_cost then 0
        else {{ part_of_value('stock_value_reporting_amount', 'excess_qty', 'on_hand_qty') }}
    end as excess_value_reporting_amount,
    is_dead,
    case when is_dead then stock_value_reporting_amount when has_unit_cost and not is_new_item then 0 end as dead_value_reporting_amount
from judged
