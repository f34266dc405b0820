with counted as (
    select
        periods.period_days,
        reviews.lateness,
        reviews.score,
        count(*) filter (where reviews.review_date >= periods.since_date) as reviews_count,
        count(*) filter (where reviews.review_date < periods.since_date) as prior_reviews_count,
        round(avg(reviews.cycle_time_days) filter (where reviews.review_date >= periods.since_date), 6) as cycle_time_mean_days
    from {{ ref('fct_reviews') }} as reviews
    inner join {{ report_periods() }} as periods on reviews.review_date between periods.prior_since_date and periods.until_date
    where not reviews.is_test
    group by all
)

select
    period_days,
    lateness,
    score,
    reviews_count,
    reviews_count / nullif(sum(reviews_count) over by_lateness, 0) as score_rate,
    cast(sum(reviews_count) over by_lateness as bigint) as lateness_reviews_count,
    prior_reviews_count / nullif(sum(prior_reviews_count) over by_lateness, 0) as prior_score_rate,
    cycle_time_mean_days
from counted
window by_lateness as (partition by period_days, lateness)
