{# By another path, straight from staging: owned states are what stands on the shelves and what travels between them, and not a unit more. #}
with staged as (
    select
        (select coalesce(sum(on_hand_qty), 0) from {{ ref('stg_shop__stock_levels') }}) as on_hand_qty,
        (
            select coalesce(sum(lines.transfer_qty), 0)
            from {{ ref('stg_shop__transfers') }} as transfers
            inner join {{ ref('stg_shop__transfer_lines') }} as lines on transfers.transfer_id = lines.transfer_id
            where
                transfers.received_at is null
                and not transfers.status in ('cancelled', 'canceled', 'closed', 'done', 'received', 'rejected')
                and (transfers.shipped_at is not null or transfers.status in ('shipped', 'in_transit'))
        ) as travelling_qty
),

counted as (
    select
        (select coalesce(sum(qty), 0) from {{ ref('fct_stock_network') }} where is_owned) as owned_qty,
        (select coalesce(sum(qty), 0) from {{ ref('fct_stock_by_state') }} where is_owned and location_id = 'all') as network_qty
)

select *
from staged
cross join counted
where staged.on_hand_qty + staged.travelling_qty <> counted.owned_qty or counted.owned_qty <> counted.network_qty
