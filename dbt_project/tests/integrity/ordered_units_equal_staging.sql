with staged as (
    select coalesce(sum(ordered_qty), 0) as ordered_qty
    from {{ ref('stg_shop__order_lines') }}
),

counted as (
    select
        (select coalesce(sum(ordered_qty), 0) from {{ ref('fct_orders') }}) as by_order,
        (select coalesce(sum(ordered_qty), 0) from {{ ref('fct_order_lines') }}) as by_line
)

select *
from staged
cross join counted
where staged.ordered_qty <> counted.by_order or staged.ordered_qty <> counted.by_line
