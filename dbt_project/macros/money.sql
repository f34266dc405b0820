{# A decimal amount as an integer in the currency's minor units, rounded half away from zero; null stays null. #}
{% macro minor_units(amount, currency_code) -%}
    cast(round({{ amount }} * {{ minor_units_per_major(currency_code) }}) as bigint)
{%- endmacro %}

{# ISO 4217 exponents other than two. #}
{% macro minor_units_per_major(currency_code) -%}
    case
        when {{ currency_code }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 1000
        when {{ currency_code }} in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 1
        else 100
    end
{%- endmacro %}

{# Minor units of a currency as minor units of the reporting currency; null where `rate` is: no rate is never a rate of one. #}
{% macro reporting_amount(amount, currency_code, rate) -%}
    case
        when {{ currency_code }} = {{ reporting_currency() }} then {{ amount }}
        else cast(round(
            {{ amount }} * {{ rate }} * ({{ minor_units_per_major(reporting_currency()) }}) / ({{ minor_units_per_major(currency_code) }})
        ) as bigint)
    end
{%- endmacro %}
