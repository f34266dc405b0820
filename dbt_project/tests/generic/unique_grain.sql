{# Every row stands for one combination of the columns that `meta.grain` names. #}
{% test unique_grain(model) %}
    {%- set grain = [] -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed') and node.name == model.identifier -%}
            {%- do grain.extend(node.config.meta.grain) -%}
        {%- endfor -%}
    {%- endif -%}
    select {{ grain | join(', ') or '1' }}
    from {{ model }}
    group by all
    having count(*) > 1
{% endtest %}
