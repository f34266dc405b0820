select
    lines.order_id,
    {# one line without a rate leaves the order without a value: a part of it would pass for the whole #}
    case
        when bool_and(lines.currency_code = {{ reporting_currency() }} or rates.reporting_rate is not null)
            then cast(sum({{ reporting_amount('lines.net_amount', 'lines.currency_code', 'rates.reporting_rate') }}) as bigint)
    end as net_reporting_amount
from {{ ref('int_order_lines_fulfilled') }} as lines
left join {{ ref('int_exchange_rates') }} as rates on lines.currency_code = rates.currency_code and lines.ordered_date = rates.rate_date
group by lines.order_id
