{# an end at midnight is the end of the day before #}
with promotions as (
    select
        promotion_id,
        sku,
        category,
        {{ local_date('starts_at') }} as first_date,
        greatest({{ local_date('starts_at') }}, {{ local_date('ends_at - interval 1 second') }}) as last_date
    from {{ ref('stg_shop__promotions') }}
    where ends_at > starts_at
),

reached as (
    select
        products.sku,
        promotions.promotion_id,
        promotions.first_date,
        promotions.last_date
    from promotions
    inner join {{ ref('dim_products') }} as products
        on
            (promotions.sku is null or promotions.sku = products.sku)
            and (promotions.sku is not null or promotions.category is null or promotions.category = products.category)
),

days as (
    select
        sku,
        promotion_id,
        cast(unnest(generate_series(first_date, last_date, interval 1 day)) as date) as promotion_date
    from reached
)

select
    sku,
    promotion_date,
    count(distinct promotion_id) as promotions_count
from days
group by sku, promotion_date
