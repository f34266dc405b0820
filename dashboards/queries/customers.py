"""Reads of the page about customers. All of them speak of every customer; only metrics are narrowed by the filters."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from dashboards.queries.reading import read_frame, read_money

if TYPE_CHECKING:
    import polars as pl

    from dashboards.queries.releases import Served

COHORTS_SHOWN: Final = 25
COHORT_MONTH_JUDGED: Final = 3
MOST_CUSTOMERS: Final = 200
MOST_PAIRS: Final = 1_000
_CHANCE: Final = 0.05  # that any pair of a shop where nobody prefers pairs stands out


def cohorts(served: Served) -> pl.DataFrame:
    """One row per cohort and month since its first orders, oldest first; money is net sales so far per customer of the cohort."""
    return read_money(served, _COHORTS)


def cohort_change(served: Served) -> dict[str, Any]:
    """How the six youngest cohorts that are three months old did by then, and the six before, null where there are none."""
    return read_money(served, _COHORT_CHANGE, (COHORT_MONTH_JUDGED,)).row(0, named=True)


def next_orders(served: Served) -> pl.DataFrame:
    """The share that ordered again by week since a first, second, or third and later order, with the counts it rests on."""
    return read_frame(served.release, _NEXT_ORDERS)


def status_days(served: Served) -> pl.DataFrame:
    """Customers by what can be said of them, newest status day first: status_date, kind, customers_count, status_share_rate."""
    return read_frame(served.release, _STATUS_DAYS)


def alive_bands(served: Served) -> pl.DataFrame:
    """Judged customers by P(alive) in tenths as of now: with what they are expected to bring in 364 days."""
    return read_money(served, _ALIVE_BANDS)


def just_left(served: Served) -> pl.DataFrame:
    """Customers whom the model held to be there 28 days before and no longer does, most valuable first; `all_count` is how many."""
    return read_money(served, _JUST_LEFT, (MOST_CUSTOMERS,))


def customer_model(served: Served) -> dict[str, Any] | None:
    """The model of the run, with its hold-out or why there is none; None where the run made none."""
    found = read_money(served, _MODEL)
    return found.row(0, named=True) if found.height else None


def holdout_classes(served: Served) -> pl.DataFrame:
    """Purchases in the hold-out by customers' repeat class: name, customers_count, actual_count, predicted_count, naive_count."""
    return read_frame(served.release, _HOLDOUT)


def value_tenths(served: Served) -> pl.DataFrame:
    """Customers in tenths by predicted value, best first: name, their size, predicted value and its share, historical value."""
    return read_money(served, _TENTHS)


def segments(served: Served) -> pl.DataFrame:
    """One row per segment: size, historical and predicted value with their shares, orders per customer, days since the last order."""
    return read_money(served, _SEGMENTS)


def customers_of(served: Served, segment: str) -> pl.DataFrame:
    """The customers of a segment from whom most is expected."""
    return read_money(served, _CUSTOMERS_OF, (segment, MOST_CUSTOMERS))


def top_customers(served: Served, days: int) -> pl.DataFrame:
    """The best customers of a trailing period with the period before, and in `direction` whether they grow; best first."""
    return read_money(served, _TOP, (days,))


def basket_pairs(served: Served, kind: str) -> pl.DataFrame:
    """What is bought together, most beyond chance first.

    `expected_order_count` is what chance would give. A pair stands out where it is above that by so much that in a shop where nobody
    prefers pairs one in twenty times any of all possible pairs would be: Poisson counts, their square roots taken as normal with a
    standard deviation of 1/2 (Anscombe 1948, Biometrika 35), and Bonferroni's correction for the number of pairs.
    """
    items = read_frame(served.release, _PAIRED_ITEMS, (kind,)).item()
    pairs = max(1, items * (items - 1) // 2)
    return read_frame(served.release, _PAIRS, (kind, NormalDist().inv_cdf(1 - _CHANCE / pairs), MOST_PAIRS))


def scores_by_lateness(served: Served, days: int) -> pl.DataFrame:
    """Review scores of a trailing period by how late the order was: lateness, score, reviews_count, score_rate, low_rate, counts."""
    return read_frame(served.release, _SCORES, (days,))


_COHORTS: Final = """
    select cohort_month, months_since_first, (cohort_month + to_months(months_since_first::int))::date as month, customer_count,
        active_customer_count, retention_rate,
        round(cumulative_net_reporting_amount / customer_count)::bigint as value_reporting_amount, is_complete
    from marts.fct_cohorts_monthly
    order by cohort_month, months_since_first
"""

_COHORT_CHANGE: Final = """
    with judged as (
        select *, (row_number() over (order by cohort_month desc) - 1) // 6 as half_year
        from marts.fct_cohorts_monthly
        where months_since_first = ? and is_complete
    )
    select
        sum(active_customer_count) filter (half_year = 0) / sum(customer_count) filter (half_year = 0) as recent_rate,
        sum(active_customer_count) filter (half_year = 1) / sum(customer_count) filter (half_year = 1) as before_rate,
        round(sum(cumulative_net_reporting_amount) filter (half_year = 0) / sum(customer_count) filter (half_year = 0))::bigint
            as recent_reporting_amount,
        round(sum(cumulative_net_reporting_amount) filter (half_year = 1) / sum(customer_count) filter (half_year = 1))::bigint
            as before_reporting_amount
    from judged
"""

_NEXT_ORDERS: Final = """
    select order_number, ['first order', 'second order', 'third or later order'][order_number] as after, days_since_order,
        ordered_again_rate, at_risk_count, ordered_again_count, order_count
    from marts.fct_next_orders
    order by order_number, days_since_order
"""

_STATUS_DAYS: Final = """
    with told as (
        select status_date,
            case when is_one_time then 'Bought on one day only' when is_too_young then 'Came back, too young to judge'
                when is_churned then 'Probably left' when not is_churned then 'Probably still there' else 'No model' end as kind
        from marts.fct_customer_status
    )
    select status_date, kind, count(*) as customers_count,
        count(*) / sum(count(*)) over (partition by status_date) as status_share_rate
    from told
    group by status_date, kind
    order by status_date desc, kind
"""

_ALIVE_BANDS: Final = """
    select least(floor(p_alive * 10), 9) / 10 as alive_from_rate, least(floor(p_alive * 10), 9) / 10 + 0.1 as alive_to_rate, is_churned,
        count(*) as customers_count, sum(lifetime_value_364_days_amount)::bigint as value_reporting_amount
    from marts.fct_customer_status
    where status_date = (select max(status_date) from marts.fct_customer_status) and is_churned is not null
    group by all
    order by alive_from_rate
"""

_JUST_LEFT: Final = """
    with days as (select distinct status_date, row_number() over (order by status_date desc) as place
        from (select distinct status_date from marts.fct_customer_status)),
    state as (select status.*, place from marts.fct_customer_status as status inner join days using (status_date) where place <= 2)
    select now.customer_key, customers.segment, before.lifetime_value_364_days_amount as expected_before_reporting_amount,
        customers.net_reporting_amount, customers.order_count, customers.last_order_date, before.p_alive as alive_before_rate,
        now.p_alive as alive_rate, count(*) over () as all_count,
        sum(customers.net_reporting_amount) over ()::bigint as all_reporting_amount
    from state as now
    inner join state as before on before.customer_key = now.customer_key and before.place = 2
    left join marts.dim_customers as customers on customers.customer_key = now.customer_key
    where now.place = 1 and now.is_churned and not before.is_churned
    order by expected_before_reporting_amount desc nulls last, now.customer_key
    limit ?
"""

_MODEL: Final = "select * from marts.fct_customer_model"

_HOLDOUT: Final = """
    select case repeat_class when 0 then 'never came back' when 1 then 'came back once' when 7 then '7 times and more'
        else repeat_class || ' times' end as name, repeat_class, customers_count, actual_count, predicted_count, naive_count
    from marts.fct_customer_holdout
    order by repeat_class
"""

_TENTHS: Final = """
    with ranked as (
        select ntile(10) over (order by lifetime_value_364_days_amount desc, customer_key) as tenth, lifetime_value_364_days_amount,
            customer_key
        from marts.fct_customer_status
        where status_date = (select max(status_date) from marts.fct_customer_status) and lifetime_value_364_days_amount is not null
    )
    select tenth, case tenth when 1 then 'Best tenth' when 2 then '2nd tenth' when 3 then '3rd tenth' when 10 then 'Last tenth'
        else tenth || 'th tenth' end as name,
        count(*) as customers_count, sum(lifetime_value_364_days_amount)::bigint as predicted_reporting_amount,
        sum(lifetime_value_364_days_amount) / nullif(sum(sum(lifetime_value_364_days_amount)) over (), 0) as predicted_share_rate,
        min(lifetime_value_364_days_amount)::bigint as least_reporting_amount,
        sum(customers.net_reporting_amount)::bigint as historical_reporting_amount
    from ranked
    left join marts.dim_customers as customers using (customer_key)
    group by tenth
    order by tenth
"""

_SEGMENTS: Final = """
    with latest as (
        select customer_key, lifetime_value_364_days_amount
        from marts.fct_customer_status
        where status_date = (select max(status_date) from marts.fct_customer_status)
    )
    select segment, count(*) as customers_count, count(*) / sum(count(*)) over () as customers_share_rate,
        sum(net_reporting_amount)::bigint as net_reporting_amount,
        sum(net_reporting_amount) / nullif(sum(sum(net_reporting_amount)) over (), 0) as net_share_rate,
        count(*) filter (net_reporting_amount is null) as unvalued_count,
        sum(lifetime_value_364_days_amount)::bigint as predicted_reporting_amount,
        sum(lifetime_value_364_days_amount) / nullif(sum(sum(lifetime_value_364_days_amount)) over (), 0) as predicted_share_rate,
        avg(order_count) as orders_mean,
        median((select as_of_date from meta.run_context) - last_order_date) as last_order_median_days
    from marts.dim_customers
    left join latest using (customer_key)
    group by segment
    order by list_position(['champions', 'loyal', 'at_risk', 'lost', 'new', 'one_time', 'prospect'], segment)
"""

_CUSTOMERS_OF: Final = """
    select customer_key, lifetime_value_364_days_amount as predicted_reporting_amount, net_reporting_amount, order_count,
        first_order_date, last_order_date, p_alive as alive_rate, dim.country
    from marts.dim_customers as dim
    left join marts.fct_customer_status as status using (customer_key)
    where segment = ?
    qualify row_number() over (partition by customer_key order by status_date desc) = 1
    order by predicted_reporting_amount desc nulls last, net_reporting_amount desc nulls last, customer_key
    limit ?
"""

_TOP: Final = """
    select value_rank, customer_key, segment, net_reporting_amount, prior_net_reporting_amount,
        net_reporting_amount - prior_net_reporting_amount as change_reporting_amount,
        case when prior_net_reporting_amount is null or net_reporting_amount is null then 'not known'
            when prior_net_reporting_amount <= 0 then 'nothing before'
            when net_reporting_amount > 1.1 * prior_net_reporting_amount then 'growing'
            when net_reporting_amount < 0.9 * prior_net_reporting_amount then 'shrinking' else 'steady' end as direction,
        net_sales_share_rate, sum(net_sales_share_rate) over () as all_share_rate, order_count, last_order_date, country
    from marts.fct_top_customers
    where period_days = ?
    order by value_rank
"""

_PAIRED_ITEMS: Final = """
    select case when ?1 = 'sku' then least(count(distinct sku), 1000) else count(distinct category) end::bigint from marts.dim_products
"""

_PAIRS: Final = """
    with named as (select sku, any_value(title) as title from marts.dim_products group by sku)
    select coalesce(one.title, pairs.item) as item_name, coalesce(other.title, pairs.other_item) as other_name, order_count,
        order_count / lift as expected_order_count, lift, confidence_rate, reverse_confidence_rate, support_rate, item_order_count,
        other_item_order_count, 2 * (sqrt(order_count) - sqrt(order_count / lift)) > ?2 as stands_out, pairs.item,
        pairs.other_item, basket_count, oversized_order_count, count(*) over () as pairs_count,
        count(*) filter (2 * (sqrt(order_count) - sqrt(order_count / lift)) > ?2) over () as pairs_standing_out_count
    from marts.fct_basket_pairs as pairs
    left join named as one on one.sku = pairs.item
    left join named as other on other.sku = pairs.other_item
    where item_kind = ?1
    order by sqrt(order_count) - sqrt(order_count / lift) desc, pairs.item, pairs.other_item
    limit ?3
"""

_SCORES: Final = """
    select lateness, score, reviews_count, score_rate, prior_score_rate, lateness_reviews_count, cycle_time_mean_days,
        sum(reviews_count) filter (score <= 2) over (partition by lateness) / lateness_reviews_count as low_rate
    from marts.fct_review_scores
    where period_days = ?
    order by list_position(['on time', '1-3 days late', '4 days late or more', 'not delivered'], lateness), score
"""
