{# A sum of amounts in the reporting currency that is null as soon as one counted row lacks an exchange rate (`unrated_count`), and 0 where
   there is no row. `condition` narrows what is summed. #}
{% macro known_reporting_sum(condition='true') -%}
    case
        when coalesce(sum(case when {{ condition }} then unrated_count end), 0) = 0
            then cast(coalesce(sum(case when {{ condition }} then net_reporting_amount end), 0) as bigint)
    end
{%- endmacro %}

{# Of sales events: rows that have an amount but no exchange rate on their day. #}
{% macro unrated_count(events) -%}
    count(*) filter (where {{ events }}.net_reporting_amount is null and {{ events }}.net_amount is not null)
{%- endmacro %}

{# Calendar months from one date to another, whatever the day. #}
{% macro months_between(start_date, end_date) -%}
    cast(
        (extract(year from {{ end_date }}) - extract(year from {{ start_date }})) * 12
        + extract(month from {{ end_date }}) - extract(month from {{ start_date }})
        as bigint
    )
{%- endmacro %}

{# A customer's segment, the only place that names one. Scores are quintiles among customers with orders, 5 the best; the first rule that
   holds decides. Segments compare customers with each other and say nothing about who has left: that is the customer's status. #}
{% macro customer_segment() -%}
    case
        when order_count = 0 then 'prospect'
        when order_count = 1 and {{ as_of_date() }} - first_order_date < 91 then 'new'
        when order_count = 1 then 'one_time'
        when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champions'
        when recency_score >= 3 then 'loyal'
        when recency_score = 2 then 'at_risk'
        else 'lost'
    end
{%- endmacro %}

{# 1 to 5 by rank; customers that are alike score alike, which `ntile` does not grant. #}
{% macro quintile_score(order_by) -%}
    cast(1 + least(floor(5 * percent_rank() over (order by {{ order_by }})), 4) as bigint)
{%- endmacro %}
