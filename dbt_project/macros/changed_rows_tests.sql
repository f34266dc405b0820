{# Data tests on models of orders and of customers look at those that were computed anew; the others were tested when they were.
   This takes the place of dbt's own macro, which every generic test reads its model through. #}
{% macro get_where_subquery(relation) -%}
    {%- set tested = graph.nodes.get(model.attached_node) if execute -%}
    {%- if tested and tested.config.materialized == 'incremental' and not flags.FULL_REFRESH -%}
        (
            select *
            from {{ relation }}
            {%- if 'per_customer' in tested.config.tags %}
            where customer_key in (select customer_key from {{ adapter.get_relation(relation.database, 'intermediate', 'int_changed_customers') }})
            {%- else %}
            where order_id is null or order_id in (select order_id from {{ adapter.get_relation(relation.database, 'intermediate', 'int_changed_orders') }})
            {%- endif %}
        ) as changed_rows
    {%- else -%}
        {{ return(relation) }}
    {%- endif -%}
{%- endmacro %}

{# The grain of the model a generic test stands on. Inside the test `model` is its argument; here it is the test itself. #}
{% macro tested_grain() -%}
    {{ return(graph.nodes[model.attached_node].config.meta.grain if execute else []) }}
{%- endmacro %}
