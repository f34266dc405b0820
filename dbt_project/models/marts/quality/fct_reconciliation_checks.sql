select
    rule,
    checked_date,
    compared_count,
    compared_count - differing_count as matched_count,
    differing_count
from {{ ref('int_reconciliation_checks') }}
