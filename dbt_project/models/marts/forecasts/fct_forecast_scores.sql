{{ config(materialized='view') }}

with weeks as (
    select errors.*, runs.as_of_date as backtest_date, products.category, classes.abc_class, classes.xyz_class
    from {{ ref('fct_forecast_errors') }} as errors
    cross join {{ source('planning', 'backtest_run') }} as runs
    left join {{ ref('dim_products') }} as products using (sku)
    left join {{ ref('dim_product_classes') }} as classes using (sku)
),

members as (
    select *, 'all' as split, 'all' as member from weeks
    union all by name
    select *, 'week_ahead' as split, cast(week_ahead as varchar) as member from weeks
    union all by name
    select *, 'abc_class' as split, coalesce(abc_class, 'unknown') as member from weeks
    union all by name
    select *, 'xyz_class' as split, coalesce(xyz_class, 'unknown') as member from weeks
    union all by name
    select *, 'category' as split, coalesce(category, 'unknown') as member from weeks
    union all by name
    select *, 'location' as split, location_id as member from weeks
)

select
    split,
    member,
    any_value(model) as model,
    any_value(backtest_date) as backtest_date,
    count(distinct cutoff_date) as cutoffs_count,
    count(distinct (sku, location_id)) as series_count,
    round(sum(actual_qty), 3) as actual_qty,
    round(sum(absolute_error_qty) / nullif(sum(actual_qty), 0), 6) as wape_rate,
    round(sum(error_qty) / nullif(sum(actual_qty), 0), 6) as bias_rate,
    round(sum(scaled_error) / nullif(sum(scaled_days_count), 0), 6) as mase,
    round(1 - sum(compared_absolute_error_qty) / nullif(sum(naive_absolute_error_qty), 0), 6) as fva_rate,
    round(sum(in_band_days_count) / nullif(sum(days_count), 0), 6) as band_coverage_rate
from members
group by split, member
