{# The trailing periods that every report speaks about, with the equally long one before: whole days up to the as-of date.
   A relation to join: `inner join {{ report_periods() }} as periods on event_date between periods.since_date and periods.until_date`. #}
{% macro report_periods() -%}
    (
        select
            lengths.period_days,
            context.as_of_date - lengths.period_days + 1 as since_date,
            context.as_of_date as until_date,
            context.as_of_date - 2 * lengths.period_days + 1 as prior_since_date,
            context.as_of_date - lengths.period_days as prior_until_date
        from {{ ref('run_context') }} as context
        cross join (values (28), (91), (364)) as lengths (period_days)
    )
{%- endmacro %}
