{# A parcel that was called off holds what it was meant to hold, but nothing of that left. #}
{% macro is_called_off_parcel(status) -%}
    {{ status }} in ('cancelled', 'canceled', 'voided')
{%- endmacro %}
