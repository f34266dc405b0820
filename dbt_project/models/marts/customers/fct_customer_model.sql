{{ config(materialized='view') }}

select *
from {{ source('planning', 'customer_model') }}
