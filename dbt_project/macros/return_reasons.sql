{# What a return's reason says about the shop's own work; null where the customer changed their mind or the goods were not liked. #}
{% macro fulfilment_error(reason_code) -%}
    case
        when {{ reason_code }} in ('wrong_item', 'wrong_product', 'incorrect_item') then 'wrong_item'
        when {{ reason_code }} in ('damaged', 'damaged_in_transit', 'broken', 'defective') then 'damaged'
        when {{ reason_code }} in ('short', 'short_shipped', 'missing', 'missing_item', 'missing_parts', 'incomplete') then 'short'
    end
{%- endmacro %}
