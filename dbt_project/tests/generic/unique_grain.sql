{# Every row stands for one combination of the columns that `meta.grain` names. #}
{% test unique_grain(model) %}
    select {{ tested_grain() | join(', ') or '1' }}
    from {{ model }}
    group by all
    having count(*) > 1
{% endtest %}
