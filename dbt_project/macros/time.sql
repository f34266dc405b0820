{# Days from one timestamp to another as a double; negative where they run backwards. `datediff` counts boundaries, not time. #}
{% macro days_between(start_at, end_at) -%}
    ({{ seconds_between(start_at, end_at) }} / 86400.0)
{%- endmacro %}

{% macro seconds_between(start_at, end_at) -%}
    {{ return(adapter.dispatch('seconds_between', 'ordercast')(start_at, end_at)) }}
{%- endmacro %}

{% macro default__seconds_between(start_at, end_at) -%}
    (extract(epoch from {{ end_at }}) - extract(epoch from {{ start_at }}))
{%- endmacro %}

{% macro duckdb__seconds_between(start_at, end_at) -%}
    (epoch({{ end_at }}) - epoch({{ start_at }}))
{%- endmacro %}

{# Days from `start_at` to the first known moment before `end_at`: a stage takes over the time of missing stages before it,
   so stages sum to the total. Null where the end is unknown or lies before its start. #}
{% macro stage_days(end_at, starts_at) -%}
    case when {{ end_at }} >= coalesce({{ starts_at | join(', ') }}) then {{ days_between('coalesce(' ~ starts_at | join(', ') ~ ')', end_at) }} end
{%- endmacro %}

{% macro runs_backwards(end_at, starts_at) -%}
    coalesce({{ end_at }} < coalesce({{ starts_at | join(', ') }}), false)
{%- endmacro %}

{# Whether a date is known and not after the as-of date. A bare comparison with the as-of date says the same, but DuckDB then takes it for a
   join that keeps next to nothing, and builds the joins that follow on their large side: only for models of millions of rows. #}
{% macro is_until_as_of(date) -%}
    coalesce({{ date }} <= {{ as_of_date() }}, false)
{%- endmacro %}
