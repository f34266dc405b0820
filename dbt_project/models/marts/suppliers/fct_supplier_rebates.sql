with tiers as (
    select
        {# a partner who is no supplier is a customer, whose id stays out of the marts: such agreements are counted in one row #}
        case
            when suppliers.supplier_id is not null and agreements.basis in ('purchase_amount', 'purchase_volume') then suppliers.supplier_id
            else 'others'
        end as supplier_id,
        agreements.partner_id,
        agreements.basis,
        agreements.valid_from_date,
        agreements.valid_to_date,
        {{ minor_units('agreements.tier_from', reporting_currency()) }} as tier_from_reporting_amount,
        agreements.rebate_rate
    from {{ ref('stg_shop__rebate_agreements') }} as agreements
    left join {{ ref('stg_shop__suppliers') }} as suppliers on agreements.partner_id = suppliers.supplier_id
    where agreements.valid_from_date <= {{ as_of_date() }}
),

volumes as (
    select
        supplier_id,
        basis,
        valid_from_date,
        sum(received_reporting_amount) as volume,
        sum(rebate_reporting_amount) as rebate,
        arg_max(rebate_rate, accrual_date) as rebate_rate,
        max(unvalued_receipts_count) as unvalued
    from {{ ref('fct_supplier_rebates_daily') }}
    group by all
),

agreements as (
    select
        tiers.supplier_id,
        tiers.basis,
        tiers.valid_from_date,
        max(tiers.valid_to_date) as valid_to_date,
        count(distinct tiers.partner_id) as agreements_count,
        coalesce(any_value(volumes.volume), 0) as volume,
        coalesce(any_value(volumes.rebate), 0) as rebate,
        coalesce(any_value(volumes.rebate_rate), 0) as rebate_rate,
        coalesce(any_value(volumes.unvalued), 0) as unvalued,
        min(tiers.tier_from_reporting_amount) filter (where tiers.tier_from_reporting_amount > coalesce(volumes.volume, 0)) as next_tier_from,
        arg_min(tiers.rebate_rate, tiers.tier_from_reporting_amount) filter (where tiers.tier_from_reporting_amount > coalesce(volumes.volume, 0))
            as next_rebate_rate
    from tiers
    left join volumes
        on tiers.supplier_id = volumes.supplier_id and tiers.basis = volumes.basis and tiers.valid_from_date = volumes.valid_from_date
    group by all
)

select
    supplier_id,
    basis,
    valid_from_date,
    valid_to_date,
    agreements_count,
    valid_to_date >= {{ as_of_date() }} as is_running,
    greatest(valid_to_date - {{ as_of_date() }}, 0) as left_days,
    case when supplier_id <> 'others' then cast(volume as bigint) end as volume_reporting_amount,
    case when supplier_id <> 'others' then rebate_rate end as rebate_rate,
    case when supplier_id <> 'others' then cast(rebate as bigint) end as rebate_reporting_amount,
    case when supplier_id <> 'others' then next_rebate_rate end as next_rebate_rate,
    case when supplier_id <> 'others' then cast(next_tier_from - volume as bigint) end as next_tier_distance_reporting_amount,
    cast(unvalued as bigint) as unvalued_receipts_count
from agreements
