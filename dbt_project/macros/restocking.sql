{# Whether the shop took returned units into its stock; null where the source does not say. #}
{% macro is_taken_into_stock(restock_type) -%}
    {{ restock_type }} in ('return', 'legacy_restock', 'restock')
{%- endmacro %}

{# Taken in and fit to be sold again, so not among the damaged units of the stock; a condition nobody noted is a good one. #}
{% macro is_back_on_shelf(restock_type, condition) -%}
    ({{ is_taken_into_stock(restock_type) }} and coalesce({{ condition }}, 'sellable') not in ('damaged', 'defective', 'unsellable'))
{%- endmacro %}
