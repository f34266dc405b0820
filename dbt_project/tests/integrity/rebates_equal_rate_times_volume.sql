{# By another path: what accrued day by day is the reached rate of everything received under the agreement, to a minor unit. #}
select *
from {{ ref('fct_supplier_rebates') }}
where
    abs(rebate_reporting_amount - volume_reporting_amount * rebate_rate) > 1
    or volume_reporting_amount <> (
        select coalesce(sum(receipts.received_reporting_amount), 0)
        from {{ ref('fct_purchase_receipts') }} as receipts
        where
            receipts.supplier_id = fct_supplier_rebates.supplier_id
            and receipts.received_date between fct_supplier_rebates.valid_from_date and least(fct_supplier_rebates.valid_to_date, {{ as_of_date() }})
    )
