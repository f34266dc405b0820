{# The pairs of one order grow with the square of its items. What bounds them: orders of more than 40 items are left out and counted, and only the
   1,000 items in most orders are paired, so there are at most 20 pairs a line and half a million groups. #}
{% set largest_order = 40 %}
{% set paired_items = 1000 %}
{% set fewest_orders = 10 %}

with lines as (
    select distinct
        events.order_id,
        events.sku,
        products.category
    from {{ ref('fct_sales_events') }} as events
    left join {{ ref('dim_products') }} as products using (sku)
    where events.event_type = 'sale' and events.event_date between {{ as_of_date() }} - 363 and {{ as_of_date() }}
),

sizes as (
    select
        order_id,
        count(*) > {{ largest_order }} as is_oversized
    from lines
    group by order_id
),

totals as (
    select
        count(*) filter (where not is_oversized) as basket_count,
        count(*) filter (where is_oversized) as oversized_count
    from sizes
),

items as (
    select
        lines.order_id,
        'sku' as item_kind,
        lines.sku as item
    from lines
    inner join sizes using (order_id)
    where not sizes.is_oversized
    union all
    select distinct
        lines.order_id,
        'category' as item_kind,
        lines.category as item
    from lines
    inner join sizes using (order_id)
    where not sizes.is_oversized and lines.category is not null
),

counted as (
    select
        item_kind,
        item,
        count(*) as item_count,
        row_number() over (partition by item_kind order by count(*) desc, item) as item_number
    from items
    group by item_kind, item
),

paired as (
    select
        items.order_id,
        items.item_kind,
        counted.item_number
    from items
    inner join counted using (item_kind, item)
    where counted.item_number <= {{ paired_items }} and counted.item_count >= {{ fewest_orders }}
),

pairs as (
    select
        one.item_kind,
        one.item_number as one_number,
        other.item_number as other_number,
        count(*) as pair_count
    from paired as one
    inner join paired as other
        on one.order_id = other.order_id and one.item_kind = other.item_kind and one.item_number < other.item_number
    group by one.item_kind, one.item_number, other.item_number
    having count(*) >= {{ fewest_orders }}
)

select
    pairs.item_kind,
    one.item,
    other.item as other_item,
    pairs.pair_count as order_count,
    pairs.pair_count * totals.basket_count / (one.item_count * other.item_count) as lift,
    pairs.pair_count / one.item_count as confidence_rate,
    pairs.pair_count / other.item_count as reverse_confidence_rate,
    pairs.pair_count / totals.basket_count as support_rate,
    one.item_count as item_order_count,
    other.item_count as other_item_order_count,
    totals.basket_count as basket_count,
    totals.oversized_count as oversized_order_count
from pairs
inner join counted as one on pairs.item_kind = one.item_kind and pairs.one_number = one.item_number
inner join counted as other on pairs.item_kind = other.item_kind and pairs.other_number = other.item_number
cross join totals
