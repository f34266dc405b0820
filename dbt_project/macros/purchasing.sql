{# States after which nothing more is expected of an order to a supplier or of a transfer. #}
{% macro is_finished_status(status) -%}
    {{ status }} in ('cancelled', 'canceled', 'closed', 'done', 'received', 'rejected')
{%- endmacro %}

{% macro is_called_off_status(status) -%}
    {{ status }} in ('cancelled', 'canceled', 'rejected')
{%- endmacro %}
