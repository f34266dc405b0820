{% set members = ['channel_id', 'location_id', 'ship_to_country', 'ship_to_region', 'age_band'] %}
{% set sums = ['open_count', 'overdue_count', 'ordered_day_sum', 'open_amount', 'unpriced_count'] %}

{# A day's backlog is what stood open at its end. Each order enters a band of age on one day and leaves it on another: running sums over
   these changes are the backlog, without a row per order and day. #}
with waiting as (
    select
        *,
        {# the first day on which it stands open no more #}
        coalesce(least(ended_date, {{ as_of_date() }} + 1), {{ as_of_date() }} + 1) as gone_date,
        {{ as_of_date() }} - {{ stock_history_days() - 1 }} as first_date
    from {{ ref('fct_orders') }}
    where not is_test and ordered_date <= {{ as_of_date() }}
),

stays as (
    select
        waiting.*,
        bands.age_band,
        greatest(waiting.ordered_date + bands.from_days, waiting.first_date) as from_date,
        least(coalesce(waiting.ordered_date + bands.until_days + 1, waiting.gone_date), waiting.gone_date) as until_date,
        {# a promise is a day, and at the end of that day it is broken #}
        greatest(waiting.promised_delivery_date, waiting.ordered_date + bands.from_days, waiting.first_date) as overdue_date
    from waiting
    cross join {{ age_band_relation() }}
    where
        greatest(waiting.ordered_date + bands.from_days, waiting.first_date) < waiting.gone_date
        and coalesce(waiting.ordered_date + bands.until_days >= waiting.first_date, true)
),

changes as (
    {% for date_column, sign in [('from_date', 1), ('until_date', -1)] -%}
        select
            {{ date_column }} as backlog_date, channel_id, location_id, ship_to_country, ship_to_region, age_band,
            {{ sign }} as open_count,
            0 as overdue_count,
            {{ sign }} * (ordered_date - date '1970-01-01') as ordered_day_sum,
            {{ sign }} * net_reporting_amount as open_amount,
            case when net_reporting_amount is null then {{ sign }} else 0 end as unpriced_count
        from stays
        union all
        select
            {{ 'overdue_date' if sign == 1 else 'until_date' }}, channel_id, location_id, ship_to_country, ship_to_region, age_band,
            0, {{ sign }}, 0, 0, 0
        from stays
        where overdue_date < until_date
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

daily as (
    select
        backlog_date, {{ members | join(', ') }},
        {% for one in sums -%}
            cast(coalesce(sum({{ one }}), 0) as bigint) as {{ one }}{{ ',' if not loop.last }}
        {% endfor %}
    from changes
    group by all
),

levels as (
    select
        backlog_date as from_date, {{ members | join(', ') }},
        coalesce(lead(backlog_date) over by_member, {{ as_of_date() }} + 1) as until_date,
        {% for one in sums -%}
            cast(sum({{ one }}) over by_member as bigint) as {{ one }}{{ ',' if not loop.last }}
        {% endfor %}
    from daily
    window by_member as (partition by {{ members | join(', ') }} order by backlog_date)
),

spread as (
    select
        *,
        from_date + unnest(range(until_date - from_date))::integer as backlog_date
    from levels
    where open_count > 0 and from_date <= {{ as_of_date() }}
),

{# a day on which nobody waited is a measured zero and needs a row that says so #}
calm as (
    select days.date_day as backlog_date
    from {{ ref('time_spine_daily') }} as days
    where
        days.date_day between (select greatest(min(ordered_date), any_value(first_date)) from waiting) and {{ as_of_date() }}
        and days.date_day not in (select backlog_date from spread)
)

select
    backlog_date,
    channel_id,
    location_id,
    ship_to_country,
    ship_to_region,
    age_band,
    open_count as open_orders_count,
    overdue_count as overdue_orders_count,
    open_count * (backlog_date - date '1970-01-01') - ordered_day_sum as age_days,
    open_amount as open_reporting_amount,
    unpriced_count as unpriced_orders_count
from spread
union all
select
    backlog_date,
    null,
    'unassigned',
    null,
    null,
    '{{ age_bands()[0][1] }}',
    0,
    0,
    0,
    0,
    0
from calm
