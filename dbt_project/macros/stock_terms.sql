{# Terms of stock that more than one model uses. #}

{# Goods that came in to be sold: from a supplier, from another place. Customer returns and corrections are none. #}
{% macro is_stock_receipt(movement_qty, movement_type, reference_type) -%}
    (
        {{ movement_qty }} > 0
        and (
            coalesce({{ movement_type }} in ('receipt', 'purchase', 'purchase_receipt', 'transfer_in', 'transfer_receipt'), false)
            or coalesce(lower({{ reference_type }}) in ('purchase_order', 'transfer'), false)
        )
    )
{%- endmacro %}

{# Stock that lasts longer than this at the rate of the last 91 days is more than anybody needs now. #}
{% macro excess_cover_days() -%} 180 {%- endmacro %}

{# Days without a sale after which stock counts as dead. #}
{% macro dead_after_days() -%} 180 {%- endmacro %}

{# Stock that came in longer ago than this is aged; one of the ends of the age bands. #}
{% macro aged_after_days() -%} 180 {%- endmacro %}

{# A product younger than this has not had the time to show what it sells. #}
{% macro new_item_days() -%} 91 {%- endmacro %}

{# The value of some of the units of a stock whose value is known. #}
{% macro part_of_value(value, part_qty, whole_qty) -%}
    cast(round({{ value }} * cast({{ part_qty }} as double) / nullif({{ whole_qty }}, 0)) as bigint)
{%- endmacro %}

{# What an item at a place is called where a document is asked for. #}
{% macro stock_document_id(levels) -%}
    {{ levels }}.sku || ' at ' || {{ levels }}.location_id
{%- endmacro %}
