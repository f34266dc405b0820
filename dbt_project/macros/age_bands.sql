{# Ages of open orders in whole days: the first day of each band and its name. #}
{% macro age_bands() -%}
    {{ return([(0, '0-2 days'), (3, '3-7 days'), (8, '8-14 days'), (15, '15-30 days'), (31, '31 days and more')]) }}
{%- endmacro %}

{# The bands as a relation: age_band, from_days and until_days, the last day before the next band (null for the oldest). #}
{% macro age_band_relation() -%}
    {%- set bands = age_bands() -%}
    (
        values
        {% for from_days, name in bands -%}
            ('{{ name }}', {{ from_days }}, {{ 'cast(null as integer)' if loop.last else bands[loop.index][0] - 1 }}){{ ',' if not loop.last }}
        {% endfor %}
    ) as bands (age_band, from_days, until_days)
{%- endmacro %}
