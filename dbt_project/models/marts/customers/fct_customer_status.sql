{{ config(materialized='view') }}

select
    scores.status_date,
    scores.customer_key,
    registered.country,
    customers.first_channel_id,
    scores.p_alive,
    scores.lifetime_value_364_days_amount,
    scores.currency_code,
    scores.is_one_time,
    scores.is_too_young,
    scores.is_churned,
    models.holdout_bias_rate,
    models.holdout_value_bias_rate,
    models.repeat_customers_count / models.customers_count as repeat_customers_rate
from {{ source('planning', 'customer_scores') }} as scores
left join {{ source('planning', 'customer_model') }} as models on true
left join {{ ref('stg_shop__customers') }} as registered using (customer_key)
left join {{ ref('dim_customers') }} as customers using (customer_key)
