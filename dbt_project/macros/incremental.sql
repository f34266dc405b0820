{# Models with a row or more per order compute anew the orders that changed, and leave the others as they are.

   They begin with `config(**per_order())` and read only rows for which `is_changed(order_id)` holds. Rows without an order
   (returns that match none) are few and are always computed anew. #}

{% macro per_order() -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'on_schema_change': 'fail',
        'pre_hook': '{{ forget_changed_orders() }}',
    }) }}
{%- endmacro %}

{% macro is_changed(order_id) -%}
    {#- read by dbt before anything runs, so that it knows what to build first; a unit test has no table that could be added to -#}
    {%- if not execute or (this is not none and is_incremental()) -%}
        ({{ order_id }} is null or {{ order_id }} in (select order_id from {{ ref('int_changed_orders') }}))
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{% macro forget_changed_orders() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where order_id is null or order_id in (select order_id from {{ ref('int_changed_orders') }})
    {%- endif -%}
{%- endmacro %}
