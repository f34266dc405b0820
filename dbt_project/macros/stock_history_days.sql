{# How far back daily stock is rebuilt: two years are what a yearly season needs. #}
{% macro stock_history_days() -%}
    {{ return(730) }}
{%- endmacro %}
