select snapshot_date
from {{ source('history', 'stock_snapshots') }}
