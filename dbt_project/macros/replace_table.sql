{# A table takes the place of the one before in one statement, and of none where it fails. dbt's own way builds beside, renames twice and
   drops, and asks the database about indexes and foreign keys meanwhile, of which no model of ours has any. #}
{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
    {%- set standing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {% if standing is not none and not standing.is_table %}
        {% do adapter.drop_relation(standing) %}
    {% endif %}
    {% call statement('main') -%}
        {%- if config.get('contract').enforced -%}
            {{ get_assert_columns_equivalent(sql) }}
            create or replace table {{ target_relation }} {{ get_table_columns_and_constraints() }};
            insert into {{ target_relation }} {{ get_column_names() }} ({{ get_select_subquery(sql) }});
        {%- else -%}
            create or replace table {{ target_relation }} as ({{ sql }});
        {%- endif -%}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
