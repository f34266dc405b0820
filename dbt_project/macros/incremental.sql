{# Models with a row or more per order compute anew the orders that changed, and leave the others as they are; those of customers compute
   the customers with such an order.

   They begin with `config(**per_order())` and read only rows for which `is_changed(order_id)` holds: each table where it is first read,
   before anything is joined or computed, because DuckDB moves no such condition past a join or an expression. Rows without an order
   (returns that match none) are few and are always computed anew. #}

{% macro per_order() -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'on_schema_change': 'fail',
        'pre_hook': '{{ forget_changed_orders() }}',
    }) }}
{%- endmacro %}

{% macro per_customer() -%}
    {{ return({
        'materialized': 'incremental',
        'incremental_strategy': 'append',
        'on_schema_change': 'fail',
        'pre_hook': '{{ forget_changed_customers() }}',
        'tags': ['per_customer'],
    }) }}
{%- endmacro %}

{# Read by dbt before anything runs, so that it knows what to build first; a unit test has no table that could be added to. #}
{% macro computes_what_changed() -%}
    {{ return(not execute or (this is not none and is_incremental())) }}
{%- endmacro %}

{% macro is_changed(order_id) -%}
    {{ order_id ~ ' in (select order_id from ' ~ ref('int_changed_orders') ~ ')' if computes_what_changed() else 'true' }}
{%- endmacro %}

{# Of returns: only they can be without an order. #}
{% macro is_changed_or_missing(order_id) -%}
    {{ '(' ~ order_id ~ ' is null or ' ~ is_changed(order_id) ~ ')' if computes_what_changed() else 'true' }}
{%- endmacro %}

{% macro is_changed_customer(customer_key) -%}
    {{ customer_key ~ ' in (select customer_key from ' ~ ref('int_changed_customers') ~ ')' if computes_what_changed() else 'true' }}
{%- endmacro %}

{% macro forget_changed_orders() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where order_id is null or order_id in (select order_id from {{ ref('int_changed_orders') }})
    {%- endif -%}
{%- endmacro %}

{% macro forget_changed_customers() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where customer_key in (select customer_key from {{ ref('int_changed_customers') }})
    {%- endif -%}
{%- endmacro %}
