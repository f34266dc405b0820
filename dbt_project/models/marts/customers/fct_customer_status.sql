{{ config(materialized='view') }}

with first_visits as (
    select
        customer_key,
        arg_min(first_channel_id, purchase_date) as first_channel_id
    from {{ ref('fct_customer_order_days') }}
    group by customer_key
)

select
    scores.status_date,
    scores.customer_key,
    customers.country,
    first_visits.first_channel_id,
    scores.repeat_count,
    scores.t_x_weeks,
    scores.age_weeks,
    scores.p_alive,
    scores.expected_purchases_91_days,
    scores.expected_purchases_364_days,
    scores.lifetime_value_364_days_amount,
    scores.currency_code,
    scores.is_one_time,
    scores.is_too_young,
    scores.is_churned
from {{ source('planning', 'customer_scores') }} as scores
left join {{ ref('stg_shop__customers') }} as customers using (customer_key)
left join first_visits using (customer_key)
