{# What a customer may expect where the source names no promise. Such promises are marked `derived`. #}

{% macro sla_ship_days() -%} {{ return(2) }} {%- endmacro %}

{% macro sla_delivery_days() -%} {{ return(7) }} {%- endmacro %}
