{# What one run knows, read from the single row of `run_context`. There is no clock in SQL: the data's as-of date is the only "now". #}

{% macro as_of_date() -%}
    (select as_of_date from {{ ref('run_context') }})
{%- endmacro %}

{% macro reporting_currency() -%}
    (select currency_code from {{ ref('run_context') }})
{%- endmacro %}

{# The reporting day a UTC timestamp falls on. #}
{% macro local_date(timestamp) -%}
    cast(timezone((select reporting_time_zone from {{ ref('run_context') }}), timezone('UTC', {{ timestamp }})) as date)
{%- endmacro %}
