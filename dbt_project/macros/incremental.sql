{# Models with a row or more per order compute anew the orders that changed, and leave the others as they are.

   They are configured `incremental`, `append`, with `forget_changed_orders()` as their pre-hook, and read only rows for which
   `is_changed(order_id)` holds. Rows without an order (returns that match none) are few and are always computed anew. #}

{% macro is_changed(order_id) -%}
    {%- if is_incremental() -%}
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
