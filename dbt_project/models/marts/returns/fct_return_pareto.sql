{# What was announced counts in the period itself. A rate needs a cohort that had its time: it looks as many days further back as
   the metric return_rate does. #}
{% set maturity_days = 30 %}

with periods as (
    select
        trailing_periods.*,
        {# of a period that began before the data did, only a part is known #}
        trailing_periods.prior_since_date >= (select min(created_date) from {{ ref('fct_return_lines') }}) as has_prior,
        trailing_periods.prior_since_date - {{ maturity_days }} >= (select min(shipped_date) from {{ ref('fct_ship_cohort_events') }})
            as has_prior_cohort
    from {{ report_periods() }} as trailing_periods
),

announced as (
    select
        periods.period_days,
        coalesce(returned.reason_code, 'unknown') as reason,
        returned.sku,
        sum(case when returned.created_date >= periods.since_date then returned.returned_qty else 0 end) as returned_qty,
        sum(case when returned.created_date < periods.since_date then returned.returned_qty else 0 end) as prior_returned_qty,
        sum(returned.refund_reporting_amount) filter (where returned.created_date >= periods.since_date) as refund_reporting_amount,
        count(*) filter (
            where returned.created_date >= periods.since_date and returned.refunded_date is not null
            and returned.refund_amount is not null and returned.refund_reporting_amount is null
        ) as refunds_without_rate
    from {{ ref('fct_return_lines') }} as returned
    inner join periods on returned.created_date between periods.prior_since_date and periods.until_date
    where not returned.is_cancelled and not returned.is_test
    group by periods.period_days, coalesce(returned.reason_code, 'unknown'), returned.sku
),

cohorts as (
    select
        periods.period_days,
        events.sku,
        events.reason_code as reason,
        events.shipped_date < periods.since_date - {{ maturity_days }} as is_prior,
        sum(events.shipped_qty) as shipped_qty,
        sum(events.returned_qty) as returned_qty
    from {{ ref('fct_ship_cohort_events') }} as events
    inner join periods
        on events.shipped_date between periods.prior_since_date - {{ maturity_days }} and periods.until_date - {{ maturity_days }}
    where not events.is_cancelled and not events.is_test
    group by all
),

shipped as (
    select
        period_days,
        sku,
        sum(shipped_qty) filter (where not is_prior) as shipped_qty,
        sum(shipped_qty) filter (where is_prior) as prior_shipped_qty
    from cohorts
    group by period_days, sku
),

came_back as (
    select
        period_days,
        sku,
        reason,
        coalesce(sum(returned_qty) filter (where not is_prior), 0) as cohort_returned_qty,
        coalesce(sum(returned_qty) filter (where is_prior), 0) as prior_cohort_returned_qty
    from cohorts
    where reason is not null
    group by period_days, sku, reason
),

counted as (
    select
        period_days,
        reason,
        sku,
        cast(coalesce(announced.returned_qty, 0) as bigint) as returned_qty,
        cast(coalesce(announced.prior_returned_qty, 0) as bigint) as prior_returned_qty,
        case when coalesce(announced.refunds_without_rate, 0) = 0 then cast(announced.refund_reporting_amount as bigint) end
            as refund_reporting_amount,
        cast(shipped.shipped_qty as bigint) as shipped_qty,
        coalesce(came_back.cohort_returned_qty, 0) / nullif(shipped.shipped_qty, 0) as return_rate,
        cast(shipped.prior_shipped_qty as bigint) as prior_shipped_qty,
        coalesce(came_back.prior_cohort_returned_qty, 0) / nullif(shipped.prior_shipped_qty, 0) as prior_return_rate
    from announced
    full join came_back using (period_days, reason, sku)
    left join shipped using (period_days, sku)
)

select
    counted.period_days,
    counted.reason,
    counted.sku,
    products.supplier_id,
    counted.returned_qty,
    counted.refund_reporting_amount,
    counted.returned_qty / nullif(sum(counted.returned_qty) over (partition by counted.period_days), 0) as returned_share,
    sum(counted.returned_qty) over (
        partition by counted.period_days order by counted.returned_qty desc, counted.sku, counted.reason rows unbounded preceding
    ) / nullif(sum(counted.returned_qty) over (partition by counted.period_days), 0) as cumulative_share,
    counted.shipped_qty,
    counted.return_rate,
    case when periods.has_prior then counted.prior_returned_qty end as prior_returned_qty,
    case when periods.has_prior_cohort then counted.prior_shipped_qty end as prior_shipped_qty,
    case when periods.has_prior_cohort then counted.prior_return_rate end as prior_return_rate
from counted
inner join periods using (period_days)
left join {{ ref('dim_products') }} as products using (sku)
