with lines as (
    select
        returned.*,
        {{ local_date('returned.created_at') }} as created_date,
        {{ local_date('returned.received_at') }} as received_date,
        {{ local_date('returned.refunded_at') }} as refunded_date,
        case
            when returned.received_at is not null and returned.restock_type is not null
                then {{ is_back_on_shelf('returned.restock_type', 'returned.condition') }}
        end as is_restocked,
        returned.returned_qty * products.unit_cost_amount as cost_amount,
        products.currency_code as cost_currency_code,
        cast(round(sold.net_amount * returned.returned_qty / nullif(sold.ordered_qty, 0)) as bigint) as sold_amount,
        sold.currency_code as sold_currency_code,
        sold.ordered_date as sold_date,
        orders.channel_id,
        coalesce(orders.location_id, 'unassigned') as location_id,
        orders.ship_to_country,
        orders.ship_to_region,
        orders.customer_key,
        orders.currency_code as order_currency_code,
        coalesce(orders.is_cancelled, false) as is_cancelled,
        coalesce(orders.is_test, false) as is_test
    from {{ ref('int_return_lines_refunded') }} as returned
    left join {{ ref('int_orders_promised') }} as orders using (order_id)
    left join {{ ref('int_order_lines_fulfilled') }} as sold on returned.order_line_id = sold.order_line_id
    left join {{ ref('dim_products') }} as products on returned.sku = products.sku
),

valued as (
    select
        lines.*,
        {{ reporting_amount('lines.refund_amount', 'lines.currency_code', 'refund_rates.reporting_rate') }} as refund_reporting_amount,
        {{ reporting_amount('lines.cost_amount', 'lines.cost_currency_code', 'cost_rates.reporting_rate') }} as cost_reporting_amount,
        {{ reporting_amount('lines.sold_amount', 'lines.sold_currency_code', 'sold_rates.reporting_rate') }} as sold_reporting_amount,
        case when lines.received_at is not null then standards.standard_minutes end as handling_minutes,
        case
            when lines.received_at is not null
                then {{ reporting_amount(minor_units('(standards.cost_per_hour * standards.standard_minutes / 60)', 'standards.currency_code'), 'standards.currency_code', 'labour_rates.reporting_rate') }}
        end as handling_reporting_amount
    from lines
    left join {{ ref('labour_standards') }} as standards on standards.event_type = 'return_received' and standards.performed_by = 'returns'
    left join {{ ref('int_exchange_rates') }} as refund_rates
        on lines.currency_code = refund_rates.currency_code and lines.refunded_date = refund_rates.rate_date
    left join {{ ref('int_exchange_rates') }} as cost_rates
        on lines.cost_currency_code = cost_rates.currency_code and lines.received_date = cost_rates.rate_date
    left join {{ ref('int_exchange_rates') }} as sold_rates
        on lines.sold_currency_code = sold_rates.currency_code and lines.sold_date = sold_rates.rate_date
    left join {{ ref('int_exchange_rates') }} as labour_rates
        on standards.currency_code = labour_rates.currency_code and lines.received_date = labour_rates.rate_date
)

select
    valued.return_line_id,
    valued.return_id,
    valued.order_line_id,
    valued.order_id,
    valued.sku,
    valued.reason_code,
    valued.match_basis,
    valued.returned_qty,
    valued.created_date,
    valued.received_date,
    valued.refunded_date,
    {{ stage_days('valued.received_at', ['valued.created_at']) }} as create_to_receive_days,
    {{ stage_days('valued.refunded_at', ['valued.received_at', 'valued.created_at']) }} as receive_to_refund_days,
    {{ stage_days('valued.refunded_at', ['valued.created_at']) }} as return_cycle_days,
    valued.refund_amount,
    valued.currency_code,
    valued.refund_reporting_amount,
    valued.exchange_order_id,
    valued.exchange_order_id is not null as is_exchange,
    {# what the exchange order kept, at most what was sold before; several lines that led to one order share it by what they had cost #}
    case
        when exchanges.is_cancelled or exchanges.net_reporting_amount = 0 or (valued.exchange_order_id is not null and exchanges.order_id is null) then 0
        when exchanges.net_reporting_amount < sum(valued.sold_reporting_amount) over (partition by valued.exchange_order_id)
            then cast(round(
                valued.sold_reporting_amount * exchanges.net_reporting_amount
                / sum(valued.sold_reporting_amount) over (partition by valued.exchange_order_id)
            ) as bigint)
        when exchanges.net_reporting_amount is not null then valued.sold_reporting_amount
    end as retained_reporting_amount,
    valued.restock_type,
    valued.condition,
    valued.is_restocked,
    valued.cost_amount,
    valued.cost_currency_code,
    valued.cost_reporting_amount,
    valued.handling_minutes,
    valued.handling_reporting_amount,
    valued.channel_id,
    valued.location_id,
    valued.ship_to_country,
    valued.ship_to_region,
    valued.customer_key,
    valued.order_currency_code,
    valued.is_cancelled,
    valued.is_test
from valued
left join {{ ref('fct_orders') }} as exchanges on valued.exchange_order_id = exchanges.order_id
