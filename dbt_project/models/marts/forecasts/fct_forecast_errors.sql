{{ config(materialized='view') }}

select *
from {{ source('planning', 'backtest_weeks') }}
