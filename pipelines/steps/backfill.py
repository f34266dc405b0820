"""Days read anew: their documents are held against the store, what differs is loaded again, and their orders' models are computed anew."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import QualityError
from pipelines.steps.ingest import ingest
from pipelines.steps.publish import publish_release
from pipelines.steps.refresh import refresh_settings
from pipelines.steps.transform import transform
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.quality.dated_documents import Days
    from pipelines.settings import Settings
    from pipelines.stores.operational import OperationalStore

logger = logging.getLogger("ordercast.backfill")


@dataclass(frozen=True, slots=True)
class BackfillSummary:
    """What reading these days anew came to.

    Attributes:
        rows_compared: Rows of the store that were looked at, to find those of these days.
        rows_healed: By table, rows of these days that stood otherwise in the warehouse than in the store.
        release_id: The release that was published.
    """

    first_day: str
    last_day: str
    rows_compared: int
    rows_healed: dict[str, int]
    release_id: str


def read_days_anew(
    store: OperationalStore, settings: Settings, *, days: Days, run_id: str, manifest: Mapping[str, Any],
    on_progress: Callable[[str, float], None] | None = None,
) -> BackfillSummary:  # fmt: skip
    """Documents of these days are as the store has them, their orders' models are computed anew, and a release holds the result.

    What the change feed tells is read as by any run. Rows of other days stay as they are, right or wrong, and so do the plans.

    Raises:
        TransformError: No whole run has planned yet, or a model or test failed. Nothing was published.
        QualityError: What came in may not be published. The release before stays.
        WarehouseUnavailableError: Another process writes the warehouse.
        StoreUnavailableError: The store did not answer. Nothing was changed.
    """
    with open_warehouse(settings.warehouse_path) as conn:
        as_planned = refresh_settings(conn, settings)
        result = ingest(store, conn, run_id=run_id, settings=as_planned, comparing="what_no_feed_tells", days=days, on_progress=on_progress)
    if result.block_reason:
        raise QualityError(f"{result.block_reason}. Nothing was published; the release before stays.")
    transform(as_planned)
    with open_warehouse(settings.warehouse_path) as conn:
        release = publish_release(conn, settings=settings, manifest=manifest)
    healed = {one.table_name: sum(difference.rows_count for difference in one.differences) for one in result.comparisons}
    summary = BackfillSummary(
        first_day=days.first.isoformat(),
        last_day=days.last.isoformat(),
        rows_compared=sum(one.rows_compared for one in result.comparisons),
        rows_healed={name: rows for name, rows in healed.items() if rows},
        release_id=release.release_id,
    )
    logger.info("%s to %s: %s rows were otherwise and are read again", days.first, days.last, f"{sum(summary.rows_healed.values()):,}")
    return summary
