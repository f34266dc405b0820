{# What a customer may expect where the source names no promise. Such promises are marked `derived`. #}

{% macro sla_ship_days() -%} 2 {%- endmacro %}

{% macro sla_delivery_days() -%} 7 {%- endmacro %}
