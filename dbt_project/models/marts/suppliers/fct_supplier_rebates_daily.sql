with agreed as (
    select
        agreements.partner_id as supplier_id,
        agreements.basis,
        agreements.valid_from_date,
        max(agreements.valid_to_date) as valid_to_date
    from {{ ref('stg_shop__rebate_agreements') }} as agreements
    {# a partner who is no supplier is a customer, whose id stays out of the marts #}
    inner join {{ ref('stg_shop__suppliers') }} as suppliers on agreements.partner_id = suppliers.supplier_id
    where agreements.basis in ('purchase_amount', 'purchase_volume')
    group by all
),

received as (
    select
        agreements.supplier_id,
        agreements.basis,
        agreements.valid_from_date,
        receipts.received_date as accrual_date,
        sum(coalesce(receipts.received_reporting_amount, 0)) as received,
        count(*) - count(receipts.received_reporting_amount) as unvalued_count
    from agreed as agreements
    inner join {{ ref('fct_purchase_receipts') }} as receipts
        on
            agreements.supplier_id = receipts.supplier_id
            and receipts.received_date between agreements.valid_from_date and agreements.valid_to_date
    where receipts.received_date <= {{ as_of_date() }}
    group by all
),

running as (
    select
        *,
        sum(received) over series as volume,
        sum(unvalued_count) over series as unvalued
    from received
    window series as (partition by supplier_id, basis, valid_from_date order by accrual_date)
),

{# the rate of the tier that the volume has reached holds for all of it, so reaching a tier brings its rebate for what came before #}
reached as (
    select
        running.supplier_id,
        running.basis,
        running.valid_from_date,
        running.accrual_date,
        running.received,
        running.volume,
        running.unvalued,
        coalesce(max(agreements.rebate_rate), 0) as rebate_rate
    from running
    left join {{ ref('stg_shop__rebate_agreements') }} as agreements
        on
            running.supplier_id = agreements.partner_id
            and running.basis = agreements.basis
            and running.valid_from_date = agreements.valid_from_date
            and {{ minor_units('agreements.tier_from', reporting_currency()) }} <= running.volume
    group by all
),

accrued as (
    select
        *,
        cast(round(volume * rebate_rate) as bigint) as accrued
    from reached
)

select
    supplier_id,
    basis,
    valid_from_date,
    accrual_date,
    cast(received as bigint) as received_reporting_amount,
    cast(volume as bigint) as volume_reporting_amount,
    rebate_rate,
    accrued - coalesce(lag(accrued) over (partition by supplier_id, basis, valid_from_date order by accrual_date), 0) as rebate_reporting_amount,
    {{ reporting_currency() }} as currency_code,
    cast(unvalued as bigint) as unvalued_receipts_count
from accrued
